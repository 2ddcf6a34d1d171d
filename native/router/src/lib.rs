//! The C symbols through which a shipped vLLM semantic router gets its sentence vectors, served from a bundle.
//!
//! ```sh
//! LD_PRELOAD=/path/libcachelora_router.so CACHELORA_BUNDLE=/path/bundle router ...
//! ```
//!
//! The loader finds these symbols before those of the router's own library; whatever is not exported here, such
//! as its classifiers, stays the router's own. The router has to ask for the model type `bert`
//! (`embedding_model: bert`), the one that it computes through these symbols.
//!
//! | file | subject |
//! |---|---|
//! | `layout` | the structures as the router's binary was compiled with them |
//! | `served` | the one bundle |
//! | `embedding` | vectors, similarities |
//! | `tokens` | token ids and their texts |
//! | `memory` | what was lent out, and who frees it |
//! | `boundary` | C strings in; no panic out; messages to stderr, the only place the router looks at |

mod boundary;
mod embedding;
mod layout;
mod memory;
mod served;
mod tokens;
