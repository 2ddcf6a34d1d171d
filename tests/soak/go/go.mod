module github.com/cachelora/cachelora/tests/soak/go

go 1.24

require github.com/cachelora/cachelora/native/go v0.0.0

replace github.com/cachelora/cachelora/native/go => ../../../native/go
