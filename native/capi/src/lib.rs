//! The C ABI. `include/cachelora.h`, generated from these files, is its manual.
//!
//! | file | subject |
//! |---|---|
//! | `abi` | versions and the link guard |
//! | `status` | status codes, and the owned error that carries a message |
//! | `boundary` | panics become a status; pointers from C become slices, after checks |
//! | `options` | the options structure and how it may grow |
//! | `embedder` | open, embed, describe, free |
//! | `handles` | which pointers are handles |
//! | `fork` | what a forked child finds |
//! | `sequences` | calls that fuzzing makes up; in tests only |
//! | `logging` | the log callback |

// What a caller must see to stands in the header's own words, without a heading that only Rust knows.
#![allow(clippy::missing_safety_doc)]

mod abi;
mod boundary;
mod embedder;
mod fork;
mod handles;
mod logging;
mod options;
#[cfg(any(test, feature = "fuzz"))]
pub mod sequences;
mod status;
