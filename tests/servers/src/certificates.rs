//! Certificates for TLS: an authority, a server, a client, and the wrong ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place;

/// Changes with anything below.
const RECIPE: u32 = 2;

/// `openssl ca` is the one command that every version of openssl lets set an end in the past.
const SCRIPT: &str = r#"
set -eu
cd "$1"
cat >openssl.cnf <<C
[ca]
default_ca = own
[own]
dir = .
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
certificate = ca.pem
private_key = ca-key.pem
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = subject
prompt = no
[subject]
CN = aqueduct-test
[authority]
basicConstraints = critical, CA:TRUE
C
: >index
authority() {
    openssl req -x509 -new -newkey rsa:2048 -nodes -days 3650 -config openssl.cnf -extensions authority \
        -subj "/CN=$2" -keyout "$1-key.pem" -out "$1.pem"
}
signed() {
    openssl req -new -newkey rsa:2048 -nodes -config openssl.cnf -subj "/CN=$2" -addext "subjectAltName=$3" \
        -keyout "$1-key.pem" -out "$1.csr"
    openssl ca -batch -config openssl.cnf -notext -startdate "$4" -enddate "$5" -in "$1.csr" -out "$1.pem"
}
authority ca 'Aqueduct test authority'
authority other-ca 'Some other authority'
signed server localhost 'DNS:localhost,IP:127.0.0.1' 20240101000000Z 20440101000000Z
signed wrong-name elsewhere.example 'DNS:elsewhere.example' 20240101000000Z 20440101000000Z
signed expired localhost 'DNS:localhost,IP:127.0.0.1' 20200101000000Z 20210101000000Z
signed client cdc 'DNS:client' 20240101000000Z 20440101000000Z
"#;

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority that signed the server's, the client's, the expired and the misnamed certificate.
    pub authority: PathBuf,
    /// An authority that signed nothing.
    pub other_authority: PathBuf,
    /// For `localhost` and `127.0.0.1`.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// For `elsewhere.example`; its key is beside it as `wrong-name-key.pem`.
    pub wrong_name: PathBuf,
    /// For `localhost`, until 2021; its key is beside it as `expired-key.pem`.
    pub expired: PathBuf,
    /// A client certificate for the user `cdc`.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

/// The certificates of this machine; made on first use with `openssl`.
#[must_use]
pub fn certificates() -> Certificates {
    let folder = place::cache().join(format!("certificates-{RECIPE}"));
    place::once_per_machine(&folder, |partial| {
        if Command::new("openssl").arg("version").output().is_err() {
            place::missing("openssl", "apt-get install openssl");
        }
        fs::create_dir_all(partial).expect("a folder for certificates");
        place::run("openssl", Command::new("sh").args(["-c", SCRIPT, "certificates"]).arg(partial));
    });
    Certificates::of(&folder)
}

impl Certificates {
    fn of(folder: &Path) -> Self {
        let file = |name: &str| folder.join(format!("{name}.pem"));
        Self {
            authority: file("ca"),
            other_authority: file("other-ca"),
            server: file("server"),
            server_key: file("server-key"),
            wrong_name: file("wrong-name"),
            expired: file("expired"),
            client: file("client"),
            client_key: file("client-key"),
        }
    }

    /// A copy that a server may read, with the certificate `name` as its own: keys for its user only.
    pub(crate) fn copy_to(&self, server: &Path, user: &str, name: &str) -> Self {
        let folder = server.join("tls");
        fs::create_dir_all(&folder).expect("a folder for certificates");
        let from = self.authority.parent().expect("a file is in a folder");
        for entry in fs::read_dir(from).expect("the certificates").flatten() {
            let to = folder.join(entry.file_name());
            fs::copy(entry.path(), &to).expect("a copy of a certificate");
            let mode = if entry.file_name().to_string_lossy().contains("-key") { 0o600 } else { 0o644 };
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).expect("rights of a certificate");
        }
        place::give(user, &folder);
        let file = |name: String| folder.join(format!("{name}.pem"));
        Self { server: file(name.to_owned()), server_key: file(format!("{name}-key")), ..Self::of(&folder) }
    }
}
