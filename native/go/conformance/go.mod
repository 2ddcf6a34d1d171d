module github.com/cachelora/cachelora/native/go/conformance

go 1.24

require (
	github.com/cachelora/cachelora/native/go v0.0.0
	github.com/vllm-project/semantic-router/candle-binding v0.0.0
	go.uber.org/goleak v1.3.0
)

replace (
	github.com/cachelora/cachelora/native/go => ../
	github.com/vllm-project/semantic-router/candle-binding => ../candlebinding
)
