module github.com/cachelora/cachelora/native/go/semanticcache

go 1.24

require (
	github.com/cachelora/cachelora/native/go v0.0.0
	gopkg.in/yaml.v3 v3.0.1
)

replace github.com/cachelora/cachelora/native/go => ../
