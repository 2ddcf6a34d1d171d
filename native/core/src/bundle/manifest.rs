//! The content of `cachelora.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::file;
use crate::{Error, Result};

/// The major schema version that this crate reads. Minor versions only add fields, which are ignored.
const SCHEMA_MAJOR: u32 = 1;

/// What a bundle holds and where it came from.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// `major.minor` of the schema.
    pub schema_version: String,
    /// The program that wrote the bundle.
    pub created_by: String,
    /// The model that the adapter was trained on.
    pub base_model: BaseModel,
    /// The adapter that was merged into it; None for a bare base model.
    pub adapter: Option<Adapter>,
    /// The shape of the merged model.
    pub architecture: Architecture,
    /// How token vectors become one sentence vector: `mean`, `cls`, ...
    pub pooling: String,
    /// Whether sentence vectors have unit length.
    pub normalize: bool,
    /// How many tokens the model reads, special tokens included.
    pub max_tokens: usize,
    /// The length of a sentence vector.
    pub dimension: usize,
    /// Size and hash of every other file of the bundle, by name.
    #[serde(deserialize_with = "unique_keys")]
    pub files: BTreeMap<String, FileEntry>,
    /// The namespace of this bundle's vectors: vectors of two fingerprints must never meet.
    pub fingerprint: String,
    /// How close the exported model is to the PyTorch model it was made from.
    pub parity: Parity,
}

/// The base model.
#[derive(Debug, Clone, Deserialize)]
pub struct BaseModel {
    /// Hub id, `builtin:` name, or the name of a local directory.
    pub id: String,
    /// The hub's commit, where it is known.
    pub revision: Option<String>,
    /// SHA-256 of its weights in lower-case hex.
    pub sha256: String,
}

/// The merged adapter.
#[derive(Debug, Clone, Deserialize)]
pub struct Adapter {
    /// Hub id or the name of a local directory.
    pub id: String,
    /// SHA-256 of its weights in lower-case hex.
    pub sha256: String,
    /// Rank of the low-rank update.
    pub rank: u32,
    /// Its scaling numerator: the update is multiplied by alpha / rank.
    pub alpha: f64,
}

/// The shape of a transformer encoder.
#[derive(Debug, Clone, Deserialize)]
pub struct Architecture {
    /// The name of the architecture in transformers' config.json, for instance `bert`.
    pub model_type: String,
    /// Number of layers.
    pub layers: u32,
    /// Width of a token vector.
    pub hidden_size: u32,
    /// Attention heads.
    pub heads: u32,
    /// Number of tokens in the embedding table.
    pub vocab_size: usize,
}

/// One file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FileEntry {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
}

/// What export measured before it wrote the bundle.
#[derive(Debug, Clone, Deserialize)]
pub struct Parity {
    /// The lowest cosine between the exported model's vector and PyTorch's, over all texts.
    pub cosine_min: f64,
}

impl Manifest {
    /// Reads and checks a manifest; does not touch the files it lists.
    pub(super) fn from_file(path: &Path) -> Result<Self> {
        let not_found = |error: std::io::Error| Error::BundleNotFound {
            path: path.to_owned(),
            problem: format!("the manifest can't be read ({error})"),
        };
        let invalid = |problem: String| Error::BundleInvalid { path: path.to_owned(), problem };
        let bytes =
            file::read(path, file::most_bytes(super::MANIFEST)).map_err(|error| match error.kind() {
                ErrorKind::FileTooLarge => invalid(error.to_string()),
                _ => not_found(error),
            })?;
        // The version comes first: a newer major schema may differ in everything else.
        let versioned: Versioned =
            serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        let version = versioned
            .schema_version
            .as_ref()
            .and_then(serde_json::Value::as_str)
            .ok_or_else(|| invalid("schema_version: a string such as \"1.0\" was expected".to_owned()))?;
        let major =
            version.split('.').next().and_then(|major| major.parse::<u32>().ok()).ok_or_else(|| {
                invalid(format!("schema_version: \"major.minor\" was expected, found \"{version}\""))
            })?;
        if major != SCHEMA_MAJOR {
            return Err(Error::SchemaUnsupported {
                path: path.to_owned(),
                found: version.to_owned(),
                supported: SCHEMA_MAJOR,
            });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        manifest.check().map_err(invalid)?;
        Ok(manifest)
    }

    /// Returns what is wrong with the values, as `key: expectation`.
    fn check(&self) -> Result<(), String> {
        if !self.normalize {
            return Err("normalize: true was expected; thresholds are cosines of unit vectors".to_owned());
        }
        if self.dimension == 0 || self.dimension > 1 << 16 {
            return Err(format!("dimension: 1 to 65536 was expected, found {}", self.dimension));
        }
        if self.max_tokens == 0 {
            return Err("max_tokens: at least 1 was expected, found 0".to_owned());
        }
        for (name, entry) in &self.files {
            // A bundle is one flat directory; a name that could leave it is an attack or a mistake.
            let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
            if !plain || name == super::MANIFEST {
                return Err(format!("files: {name:?} is no plain file name inside the bundle"));
            }
            let most = file::most_bytes(name);
            if entry.size > most {
                return Err(format!("files.{name}.size: at most {most} was expected, found {}", entry.size));
            }
            if !is_sha256(&entry.sha256) {
                return Err(format!("files.{name}.sha256: 64 lower-case hex digits were expected"));
            }
        }
        if !is_sha256(&self.fingerprint) {
            return Err("fingerprint: 64 lower-case hex digits were expected".to_owned());
        }
        Ok(())
    }
}

/// What every schema has.
#[derive(Deserialize)]
struct Versioned {
    schema_version: Option<serde_json::Value>,
}

/// Reads a map that has each key once. Of two entries, one reader would take the first and another the last.
pub(crate) fn unique_keys<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    struct UniqueKeys<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueKeys<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry::<String, V>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(UniqueKeys(PhantomData))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
