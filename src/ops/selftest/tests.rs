//! What can be tried without a guest: failures, and that nothing is left.

use std::pin::Pin;
use std::sync::Mutex;

use machine_images::Reference;
use machine_images::oci::Access;

use super::*;
use crate::connection::ConnectionsFile;
use crate::connection::machine::Scheme;
use crate::hostconf::HostConf;
use crate::machine::resources::Wish;
use crate::machine::{Network, Vsock};
use crate::ops::host::providers;
use crate::ops::image::{ImageRequest, ImageSources};
use crate::ops::init::InitProgress;
use crate::store::layout;
use crate::store::testing::Bench;

#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
    cancelled: bool,
}

impl InitReporter for Told {
    fn progress(&self, _: InitProgress) {}

    fn cancelled(&self) -> bool {
        self.cancelled
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if self.cancelled {
            Box::pin(std::future::ready(()))
        } else {
            Box::pin(std::future::pending())
        }
    }
}

impl SelftestReporter for Told {
    fn began(&self, name: StepName) {
        let line = format!("{} begins", name.word());
        self.lines.lock().unwrap().push(line);
    }

    fn event(&self, _: &Stamped) {}

    fn ended(&self, step: &Step) {
        let word = match &step.outcome {
            Outcome::Passed(_) => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped => "skipped",
        };
        let line = format!("{} {word}", step.name.word());
        self.lines.lock().unwrap().push(line);
    }
}

fn premises(bench: &Bench) -> Premises {
    Premises {
        directories: bench.directories(),
        store: bench.store.clone(),
        connections: ConnectionsFile::at(bench.root.path().join("c.json")),
        hostconf: HostConf::in_directory(bench.root.path()),
    }
}

fn request(image: &std::path::Path) -> InitRequest {
    let provider = providers()[0];
    InitRequest {
        program_directories: Vec::new(),
        name: fresh_name().unwrap(),
        provider,
        user: "core".to_owned(),
        image: ImageRequest {
            reference: Reference::parse(image.as_os_str()).unwrap(),
            provider,
            checksum: None,
            insecure: false,
            lock: None,
            sources: ImageSources {
                registries: Access::of_host(None, |_| None),
                mirrors: Vec::new(),
                keys: std::path::PathBuf::new(),
            },
        },
        wish: Wish {
            disk_gib: Some(1),
            ..Wish::default()
        },
        data_disk: None,
        rootful: false,
        scheme: Scheme::Ssh,
        time_zone: String::new(),
        swap_mib: 0,
        import_native_ca: false,
        vsock: Vsock::Off,
        network: Network::Auto,
        host_loopback: true,
        forward_listeners: false,
        volumes: Vec::new(),
        forward_sockets: Vec::new(),
    }
}

async fn tried(bench: &Bench, image: &str, told: &Told) -> (Vec<Step>, MachineName) {
    let premises = premises(bench);
    let cache = Cache::at(layout::images(&premises.directories));
    let host = Host::detect();
    let place = Place {
        premises: &premises,
        cache: &cache,
        host: &host,
    };
    let request = request(&bench.root.path().join(image));
    let steps = Box::pin(try_out(place, &request, told)).await;
    (steps, request.name)
}

#[test]
fn names_differ_and_are_names() {
    let one = fresh_name().unwrap();
    assert_ne!(one, fresh_name().unwrap());
    assert!(one.as_str().starts_with("selftest-"), "{one}");
}

#[tokio::test]
async fn what_cannot_be_made_leaves_nothing_and_all_else_is_skipped() {
    let bench = Bench::new();
    let told = Told::default();
    let (steps, name) = tried(&bench, "gone.qcow2", &told).await;
    let words: Vec<&str> = steps.iter().map(|step| step.name.word()).collect();
    assert_eq!(
        words,
        ["init", "start", "ping", "version", "exec", "port", "stop"]
    );
    assert!(steps[0].has_failed(), "{steps:?}");
    let is_skipped = |step: &Step| step.outcome == Outcome::Skipped;
    assert!(steps[1..].iter().all(is_skipped), "{steps:?}");
    let lines = told.lines.lock().unwrap().clone();
    assert_eq!(lines[..3], ["init begins", "init failed", "start skipped"]);
    assert_eq!(remove(&premises(&bench), &name, &told).await, None);
}

#[tokio::test]
async fn a_machine_that_was_made_is_removed_also_when_the_user_gives_up() {
    let bench = Bench::new();
    fs_err::write(bench.root.path().join("empty"), "").unwrap();
    let told = Told {
        cancelled: true,
        ..Told::default()
    };
    let (steps, name) = tried(&bench, "empty", &told).await;
    assert!(steps[0].has_failed(), "{steps:?}");
    assert_eq!(remove(&premises(&bench), &name, &told).await, None);

    // As after a start that failed.
    let machine = bench.make(name.as_str());
    let premises = premises(&bench);
    let step = remove(&premises, &name, &told).await.unwrap();
    assert_eq!(step.name, StepName::Rm);
    assert!(!step.has_failed(), "{step:?}");
    assert!(!machine.files.directory().exists());
    assert!(bench.store.names().unwrap().is_empty());
}

#[test]
fn a_trouble_has_all_causes_and_lines() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);
    let error = Outer(std::io::Error::other("inner"));
    let trouble = Trouble::of(&error, vec!["line".to_owned()], vec!["hint".to_owned()]);
    assert_eq!(
        trouble,
        Trouble {
            what: "outer".to_owned(),
            why: vec!["inner".to_owned(), "line".to_owned()],
            hints: vec!["hint".to_owned()],
        }
    );
}
