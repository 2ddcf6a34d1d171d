//! A TCP port or a Unix socket.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

/// Where requests come in.
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Listens on a port.
    ///
    /// # Errors
    /// A message with the address.
    pub async fn tcp(address: SocketAddr) -> Result<Self, String> {
        TcpListener::bind(address).await.map(Self::Tcp).map_err(|error| format!("{address}: {error}"))
    }

    /// Listens on a socket that only the owner may use. A socket that a server left behind is replaced.
    ///
    /// # Errors
    /// A message with the path: something else is there, or another server listens on it.
    pub fn unix(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("--unix-socket {}: {error}", path.display());
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(format!("--unix-socket {}: is there already and no socket", path.display()));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(format!("--unix-socket {}: another server listens on it", path.display()));
            }
            _ => {}
        }
        // Bound in a directory that nobody else may enter and renamed when its mode is set: at no time can
        // another user connect.
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let private = Private::inside(directory).map_err(failed)?;
        let hidden = private.0.join("s");
        let listener = UnixListener::bind(&hidden).map_err(failed)?;
        fs::set_permissions(&hidden, Permissions::from_mode(0o600)).map_err(failed)?;
        fs::rename(&hidden, path).map_err(failed)?;
        let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
        Ok(Self::Unix(listener, SocketFile { path: path.to_owned(), inode }))
    }

    /// The address as users write it.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| format!("http://{address}")),
            Self::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }
}

/// A socket's file, removed with this value.
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A server that was started meanwhile may have put its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A directory of mode 0700, removed with this value.
struct Private(PathBuf);

impl Private {
    fn inside(directory: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = directory.join(format!(".cl{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
