module github.com/cachelora/cachelora/native/go/conformance

go 1.24

require (
	github.com/cachelora/cachelora/native/go v0.0.0
	github.com/cachelora/cachelora/native/go/semanticcache v0.0.0
	github.com/vllm-project/semantic-router/candle-binding v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/kr/text v0.2.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace (
	github.com/cachelora/cachelora/native/go => ../
	github.com/cachelora/cachelora/native/go/semanticcache => ../semanticcache
	github.com/vllm-project/semantic-router/candle-binding => ../candlebinding
)
