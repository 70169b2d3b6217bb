//! All facts of one machine together.

use super::*;
use crate::store::testing::Bench;

const LOOPBACK: Option<Ipv4Addr> = Some(Ipv4Addr::new(10, 0, 2, 2));

fn config(change: impl FnOnce(&mut MachineConfig)) -> MachineConfig {
    let mut config = Bench::new().make("vm").config;
    change(&mut config);
    config
}

fn host(conf: &str) -> Host {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("containers.conf"), conf).unwrap();
    Host::read(&HostConf::in_directory(directory.path()))
}

fn env<'e>(set: &'e [(&'e str, &'e str)]) -> impl Fn(&str) -> Option<OsString> + 'e {
    move |name| {
        let found = set.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    }
}

#[test]
fn nothing_is_asked_for() {
    let config = config(|config| config.time_zone.clear());
    let gathered = host("").gather(&config, LOOPBACK, &|_| None);
    let expected = HostFacts {
        host_address: LOOPBACK,
        ..HostFacts::default()
    };
    assert_eq!(gathered.facts, expected);
    assert_eq!(gathered.certificates, None);
    assert_eq!(gathered.warnings, [""; 0]);
}

#[test]
fn all_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let authorities = directory.path().join("ca.pem");
    fs_err::write(
        &authorities,
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let config = config(|config| {
        config.time_zone = "Asia/Tokyo".to_owned();
        config.swap_mib = 64;
        config.import_native_ca = true;
    });
    let set = [
        ("http_proxy", "http://u:hunter2@localhost:1"),
        ("SSL_CERT_FILE", authorities.to_str().unwrap()),
    ];
    let gathered = host("").gather(&config, LOOPBACK, &env(&set));
    assert_eq!(gathered.facts.time_zone.as_deref(), Some("Asia/Tokyo"));
    assert_eq!(gathered.facts.host_address, LOOPBACK);
    assert_eq!(gathered.facts.swap_mib, 64);
    assert!(gathered.facts.certificates && gathered.certificates.is_some());
    assert_eq!(gathered.warnings, [""; 0]);
    let closed = host("").gather(&config, None, &env(&set));
    assert_eq!(closed.warnings.len(), 1, "{:?}", closed.warnings);
    let shown = format!("{gathered:?}");
    assert!(
        shown.contains("http_proxy") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn rosetta_is_what_containers_conf_says() {
    assert!(!host("").wants_rosetta());
    assert!(host("[machine]\nrosetta = true").wants_rosetta());
    assert!(!host("[machine]\nrosetta = false").wants_rosetta());
}

/// Podman Desktop keeps the user's proxies in `[engine] env`; the environment counts more, even an empty value.
#[test]
fn proxies_of_containers_conf() {
    let config = config(|config| config.time_zone.clear());
    let host = host("[engine]\nenv = [\"http_proxy=http://a:1\", \"https_proxy=http://b:2\"]");
    let set = [("https_proxy", "")];
    let gathered = host.gather(&config, LOOPBACK, &env(&set));
    let proxies: Vec<_> = gathered.facts.proxies.into_iter().collect();
    assert_eq!(
        proxies,
        [("http_proxy".to_owned(), "http://a:1".to_owned())]
    );
    assert_eq!(gathered.facts.host_address, LOOPBACK);
}

#[test]
fn a_broken_file_is_a_warning() {
    let host = host("[engine]\nenv = 3\n");
    let config = config(|config| config.time_zone.clear());
    let gathered = host.gather(&config, None, &|_| None);
    assert_eq!(gathered.warnings.len(), 1);
    assert!(
        gathered.warnings[0].contains("line 2"),
        "{:?}",
        gathered.warnings
    );
}

#[test]
fn helper_directories() {
    let host = host("[engine]\nhelper_binaries_dir = [\"/opt/a\", \"/opt/b\"]");
    let set = [("CONTAINERS_HELPER_BINARY_DIR", "/opt/first")];
    let found = host.program_directories(&env(&set));
    assert_eq!(found, ["/opt/first", "/opt/a", "/opt/b"].map(PathBuf::from));
}
