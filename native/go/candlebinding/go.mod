module github.com/vllm-project/semantic-router/candle-binding

go 1.24

require github.com/cachelora/cachelora/native/go v0.0.0

replace github.com/cachelora/cachelora/native/go => ../
