// Package candle_binding gives the vLLM semantic router the vectors of a bundle, under the names by which it
// already asks for them. In the router's go.mod, with PATH the place of this repository:
//
//	replace github.com/vllm-project/semantic-router/candle-binding => PATH/native/go/candlebinding
//	replace github.com/cachelora/cachelora/native/go => PATH/native/go
//
// What an embedder can do is done: sentence vectors, similarities, what is loaded. Everything else that the
// router's own binding has, such as classifiers, compiles and returns an [UnsupportedError] that says what is
// missing.
//
// # Where bundles come from
//
// [InitModel] and the other Init functions of embedding models take a bundle's directory, or the id or path of
// a model that is looked up among the bundles below the directory CACHELORA_MODELS: for
// "sentence-transformers/all-MiniLM-L6-v2" the first of
//
//	$CACHELORA_MODELS/sentence-transformers--all-MiniLM-L6-v2
//	$CACHELORA_MODELS/sentence-transformers/all-MiniLM-L6-v2
//	$CACHELORA_MODELS/all-MiniLM-L6-v2
//
// Each function fills the model type that the router will ask for: InitModel "bert", the others "qwen3",
// "gemma" and "mmbert". A model type that nothing was opened for is an error, never another model's vector.
//
// # Lengths
//
// Vectors have the bundle's dimension. A target dimension of 0 or exactly that is served; any other is an
// [UnsupportedError], because a part of a vector that was not trained to be cut is a worse vector. Texts are
// never padded. A maximum length that would cut a text shorter than the bundle does is an [UnsupportedError].
//
// Every function is safe for concurrent use.
//
// # The scheduler
//
// Goroutines that compute in C keep places of Go's scheduler, as in the router's own binding, and under load
// requests wait for one to be read and answered. With CACHELORA_SPARE_PROCS=1 each bundle that is opened raises
// GOMAXPROCS by its number of workers; see WithSpareProcs in the package router.
package candle_binding
