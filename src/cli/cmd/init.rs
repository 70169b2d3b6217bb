//! `machine init`.

use std::ffi::OsString;
use std::future::Future;
use std::pin::Pin;

use super::{Session, default_connection, image, start, volumes};
use crate::cli::args::image::ProgressForm;
use crate::cli::args::init::InitArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::CommandError;
use crate::cli::image_bar::ImageBar;
use crate::cli::output::printer::Printer;
use crate::cli::texts;
use crate::connection::machine::Scheme;
use crate::machine::settings::{Layer, Origin, Settings, Wishes};
use crate::machine::{MachineName, Network, Vsock};
use crate::ops::connection;
use crate::ops::host::{self, Host};
use crate::ops::image::ImageRequest;
use crate::ops::init::{self, InitError, InitProgress, InitReporter, InitRequest};
use crate::ops::sockets;
use crate::ops::start::StartOptions;

pub(super) async fn run(args: &InitArgs, session: &mut Session<'_>) -> Result<(), CommandError> {
    let printer = session.printer;
    for notice in deprecated(args) {
        printer.stderr(notice);
    }
    let name = MachineName::parse(name_or_default(&args.names))?;
    refuse_unsupported(args)?;
    let settings = settings(args, session)?;
    let scheme = connection::scheme(session.hostconf.own()?.connection_scheme);
    let provider = settings.provider(&host::providers())?;
    let flag = args.image.as_ref().or(args.image_path.as_ref());
    let reference = image::reference(flag.map(OsString::as_os_str), &settings, provider)?;
    let image = image::request(reference, provider, &args.fetch, session)?;
    let mut request = request(name, args, &settings, scheme, image)?;
    if args.data_disk.is_some() && args.disk_size.is_none() {
        // What new disks are to have says nothing of one that is there.
        request.wish.disk_gib = None;
    }
    let by_default = settings.volumes.origin == Origin::Default;
    let listed = &settings.volumes.value;
    request.volumes = volumes::settle(listed, by_default, &request.user, session)
        .map_err(|error| error.with_hints(settings.blame_volumes()))?;
    request.forward_sockets = sockets::settle(&args.forward_socket, &request.user)?;
    let host = Host::detect();
    if request.wish.memory_mib.is_none() && host.resources.clamps_default_memory() {
        printer.stderr(&texts::clamped_memory(&host.resources));
    }
    let reporter = Reporter::new(session, args.fetch.progress);
    let cache = image::cache(session);
    // It is large, and larger on Windows.
    let work = Box::pin(init::init(
        &session.store,
        &cache,
        &session.connections,
        &host,
        &request,
        &reporter,
    ));
    let outcome = session.interrupt.guard(work).await;
    let outcome = outcome.map_err(|error| explain(error, &settings))?;
    // The bar goes before the last words come.
    drop(reporter);
    if let Some(shortage) = outcome.shortage {
        printer.stderr(&texts::disk_shortage(
            shortage.disk_gib,
            shortage.free_bytes,
        ));
    }
    let name = request.name.as_str();
    printer.stdout(texts::INIT_COMPLETE);
    if args.now {
        let update = args.update_connection;
        let make_default = default_connection::choose_for(name, update, session)?;
        start::start(name, true, StartOptions::default(), session, printer).await?;
        return default_connection::settle(name, make_default, session);
    }
    printer.stdout(&texts::start_hint(name));
    Ok(())
}

/// The notices of spec 1.4.1 about flags of the past.
fn deprecated(args: &InitArgs) -> Vec<&'static str> {
    let mut notices = Vec::new();
    if args.image_path.is_some() {
        notices.push("Flag --image-path has been deprecated, use --image instead\n");
    }
    if args.volume_driver.is_some() {
        notices.push("Flag --volume-driver has been deprecated, will be ignored\n");
    }
    notices
}

/// Refuses flags that would do nothing: who asks for a device and gets none finds out too late.
fn refuse_unsupported(args: &InitArgs) -> Result<(), CommandError> {
    let wanted = |values: &[String]| values.iter().any(|value| !value.is_empty());
    let (flag, hint) = if wanted(&args.setting.usb) {
        ("--usb", "make the machine without it")
    } else if args.ignition_path.is_some() {
        (
            "--ignition-path",
            "the machine's own Ignition file makes the user and the engines' sockets",
        )
    } else if args.playbook.is_some() {
        ("--playbook", "run the playbook in the started machine")
    } else {
        return Ok(());
    };
    Err(CommandError::new(format!("`{flag}` is not supported yet")).with_hint(hint))
}

/// Settles what the machine is like: flags, environment, our file, `containers.conf`, defaults.
fn settings(args: &InitArgs, session: &Session<'_>) -> Result<Settings, CommandError> {
    let flags = Layer {
        origin: Origin::Flag,
        wishes: Wishes {
            cpus: args.setting.cpus,
            memory_mib: args.setting.memory,
            disk_gib: args.disk_size,
            // The path on the command line need not be Unicode: see `request`.
            image: None,
            user: args.username.clone(),
            provider: args.provider.clone(),
            rootful: args.setting.rootful,
            time_zone: args.timezone.clone(),
            swap_mib: args.setting.swap,
            import_native_ca: args.setting.import_native_ca,
            volumes: (!args.volume.is_empty()).then(|| args.volume.clone()),
        },
    };
    let mut layers = vec![flags];
    layers.extend(session.hostconf.layers(&|name| std::env::var_os(name))?);
    Ok(Settings::resolve(&layers))
}

fn request(
    name: MachineName,
    args: &InitArgs,
    settings: &Settings,
    scheme: Scheme,
    image: ImageRequest,
) -> Result<InitRequest, CommandError> {
    Ok(InitRequest {
        vsock: args.setting.vsock.unwrap_or_default(),
        network: args.setting.network.unwrap_or_default(),
        host_loopback: args.setting.host_loopback.unwrap_or(true),
        forward_listeners: args.setting.forward_listeners.unwrap_or_default(),
        data_disk: args.data_disk.clone(),
        ..plain_request(name, settings, scheme, image)?
    })
}

/// A machine as the settings say, without folders and sockets of the host.
pub(super) fn plain_request(
    name: MachineName,
    settings: &Settings,
    scheme: Scheme,
    image: ImageRequest,
) -> Result<InitRequest, CommandError> {
    settings.check()?;
    Ok(InitRequest {
        name,
        provider: image.provider,
        user: settings.user.value.clone(),
        image,
        wish: settings.wish(),
        data_disk: None,
        rootful: settings.rootful.value,
        scheme,
        time_zone: settings.time_zone.value.clone(),
        swap_mib: settings.swap_mib.value,
        import_native_ca: settings.import_native_ca.value,
        vsock: Vsock::default(),
        network: Network::default(),
        host_loopback: true,
        forward_listeners: false,
        volumes: Vec::new(),
        forward_sockets: Vec::new(),
        program_directories: host::program_directories(),
    })
}

/// An error of `init`, with the file that set the value it is about.
fn explain(error: InitError, settings: &Settings) -> CommandError {
    let blame = match &error {
        InitError::Resources(error) => settings.blame_resource(error),
        InitError::Name(error) => settings.blame_name(error),
        _ => None,
    };
    CommandError::from(error).with_hints(blame)
}

/// Tells what is made, and asks the user's wish.
pub(super) struct Reporter<'a> {
    printer: &'a Printer,
    bar: ImageBar,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(session: &Session<'a>, progress: ProgressForm) -> Self {
        let printer = session.printer;
        Self {
            printer,
            bar: ImageBar::new(printer, &session.interrupt, progress),
        }
    }
}

impl InitReporter for Reporter<'_> {
    fn progress(&self, progress: InitProgress) {
        match progress {
            InitProgress::Image { description } => self.printer.stdout(&texts::image(&description)),
            InitProgress::Fetching(progress) => self.bar.fetch(progress),
            InitProgress::Notice(text) => self.bar.warn(&text),
            InitProgress::Done(text) => self.bar.tell(&text),
            InitProgress::Copying { done, total } => self.bar.copy(done, total),
            InitProgress::Completing => {}
            InitProgress::Keeping => self.bar.tell(texts::KEEPING),
        }
    }

    fn cancelled(&self) -> bool {
        self.bar.is_cancelled()
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.bar.cancelled())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

    fn args(line: &str) -> InitArgs {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        match cli.command {
            Some(Command::Init(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    /// Runs `init` with a file `empty` as its image where the line says so, and these configuration files.
    fn try_init(bench: &Bench, line: &str) -> (Result<(), String>, Captured) {
        let empty = bench.root.path().join("empty");
        fs_err::write(&empty, "").expect("a file");
        let mut args = args(line);
        if args.image.as_deref() == Some(OsStr::new("empty")) {
            args.image = Some(empty.into_os_string());
        }
        testing::run(bench, "", async |session| run(&args, session).await)
    }

    fn refusal(line: &str) -> String {
        try_init(&Bench::new(), line).0.expect_err(line)
    }

    #[test]
    fn arguments_become_a_machine() {
        let bench = Bench::new();
        let line = "machine init vm --image empty --cpus 1 -m 1024 --disk-size 7 --rootful --username me \
            --swap 64 --timezone Etc/UTC --import-native-ca --provider qemu --vsock off --network passt --host-loopback=false --forward-listeners --volume= --tls-verify=false";
        let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let (result, captured) = try_init(&bench, &line);
        assert_eq!(result, Ok(()));
        assert_eq!(captured.stderr, "");
        let config = bench.store.find("vm").expect("a machine").config;
        assert_eq!(config.user, "me");
        assert_eq!(
            (
                config.resources.cpus,
                config.resources.memory_mib,
                config.resources.disk_gib
            ),
            (1, 1024, 7)
        );
        assert_eq!(
            (config.swap_mib, config.time_zone.as_str()),
            (64, "Etc/UTC")
        );
        assert!(config.rootful && config.import_native_ca);
        assert_eq!(config.vsock, crate::machine::Vsock::Off);
        assert_eq!(config.network, crate::machine::Network::Passt);
        assert!(!config.host_loopback);
        assert!(config.forward_listeners);
    }

    #[test]
    fn a_data_disk_has_the_size_that_it_has() {
        let bench = Bench::new();
        let put = |name: &str, text: &str| {
            fs_err::write(bench.root.path().join(name), text).expect("a file");
        };
        put("config.toml", "[machine]\ndisk_size = 1\nvolumes = []");
        let path = bench.root.path().join("data.raw");
        let file = fs_err::File::create(&path).expect("a file");
        file.set_len(3 << 30).expect("a file of holes");
        let line = format!(
            "machine init vm --image empty --data-disk {}",
            path.display()
        );
        let smaller = try_init(&bench, &format!("{line} --disk-size 2")).0;
        let error = smaller.expect_err("it cannot shrink");
        assert!(
            error.contains("has 3 GB and cannot become smaller\nhint: "),
            "{error}"
        );
        assert_eq!(try_init(&bench, &line).0, Ok(()));
        let config = bench.store.find("vm").expect("a machine").config;
        assert_eq!(config.resources.disk_gib, 3);
        assert_eq!(config.data_disk, Some(crate::machine::DataDisk::At(path)));
    }

    /// Flags, then our file, then containers.conf, then defaults.
    #[test]
    fn files_have_a_say() {
        let bench = Bench::new();
        let put = |name: &str, text: &str| {
            fs_err::write(bench.root.path().join(name), text).expect("a file");
        };
        put(
            "containers.conf",
            "[containers]\ntz = \"Asia/Tokyo\"\n[machine]\ncpus = 999999\nmemory = 600\ndisk_size = 3\nuser = \"conf\"",
        );
        put(
            "config.toml",
            "[machine]\ncpus = 1\nmemory = 700\nswap = 9\nrootful = true",
        );
        let (result, _) = try_init(
            &bench,
            "machine init vm --image empty --memory 800 --swap 0 --volume=",
        );
        assert_eq!(result, Ok(()));
        let config = bench.store.find("vm").expect("a machine").config;
        assert_eq!(
            (
                config.resources.cpus,
                config.resources.memory_mib,
                config.resources.disk_gib
            ),
            (1, 800, 3)
        );
        assert_eq!(
            (config.user.as_str(), config.time_zone.as_str()),
            ("conf", "Asia/Tokyo")
        );
        assert_eq!((config.swap_mib, config.rootful), (0, true));

        put("config.toml", "");
        let error = try_init(&bench, "machine init two --image empty")
            .0
            .expect_err("999999 CPUs");
        assert!(
            error.starts_with(
                "Error: requested number of CPUs (999999) greater than number of host CPUs ("
            ),
            "{error}"
        );
        assert!(
            error.ends_with("hint: the number of CPUs is set by containers.conf\n"),
            "{error}"
        );

        put("config.toml", "[machine]\ncpu = 1");
        let error = try_init(&bench, "machine init two --image empty")
            .0
            .expect_err("a slip");
        assert!(
            error.contains("config.toml`, line 2: unknown key `machine.cpu`\n"),
            "{error}"
        );
        assert!(error.ends_with("hint: did you mean `cpus`?\n"), "{error}");
    }

    #[test]
    fn names_are_checked_first() {
        assert_eq!(
            refusal("machine init a/b --provider xen --usb d"),
            "Error: invalid name \"a/b\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument\n"
        );
        assert_eq!(
            refusal("machine init --provider Qemu"),
            "Error: unsupported provider \"Qemu\"\n"
        );
        assert_eq!(
            refusal("machine init --image stable@44"),
            "Error: `44` is no release of Fedora CoreOS: one is four numbers such as `44.20261101.3.0`, the second of them a date\n\
             hint: an image is a file, an `https://` or `http://` URL, `docker://` with an artifact's name, or a stream of Fedora CoreOS: `stable`, `testing`, `next`\n"
        );
        assert_eq!(
            refusal("machine init --username a/b"),
            "Error: invalid username \"a/b\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument\n"
        );
        assert_eq!(
            refusal("machine init --image empty --timezone a=b"),
            "Error: invalid time zone \"a=b\"\nhint: time zones are named as `Europe/Berlin`; `local` is the host's\n"
        );
    }

    /// The command line replaces the file, which replaces the home directory; a slip is found before anything is made.
    #[test]
    fn volumes_are_those_that_count_most() {
        let bench = Bench::new();
        let folder = bench.root.path().display().to_string();
        let put = |text: String| {
            fs_err::write(bench.root.path().join("config.toml"), text).expect("a file");
        };
        let targets = |name: &str| -> Vec<String> {
            let config = bench.store.find(name).expect("a machine").config;
            let targets = config.volumes.into_iter().map(|volume| volume.target);
            targets.collect()
        };
        put(format!("[machine]\nvolumes = ['{folder}:/mnt/file:ro']"));
        let init = |more: &str| try_init(&bench, &format!("machine init {more} --image empty"));
        assert_eq!(init("one").0, Ok(()));
        assert_eq!(targets("one"), ["/mnt/file"]);
        let flags = format!("two --volume {folder}:/mnt/a -v {folder}:/mnt/b:Z");
        let (result, captured) = init(&flags);
        assert_eq!(result, Ok(()));
        assert!(captured.stdout.starts_with("Unknown option: Z\n"));
        assert_eq!(targets("two"), ["/mnt/a", "/mnt/b"]);
        assert_eq!(init("three --volume=").0, Ok(()));
        assert_eq!(targets("three"), [""; 0]);

        put(format!("[machine]\nvolumes = ['{folder}:/proc/x']"));
        let error = init("four").0.expect_err("the guest's own");
        assert!(
            error.starts_with("Error: machine mount destination cannot be \"/proc/x\": "),
            "{error}"
        );
        assert!(
            error.contains("hint: the list of volumes is set by `"),
            "{error}"
        );
        bench.store.find("four").expect_err("nothing was made");
    }

    #[test]
    fn flags_of_the_past_and_of_the_future() {
        let (_, captured) = try_init(
            &Bench::new(),
            "machine init --image-path x --volume-driver y --volume=",
        );
        assert_eq!(
            captured.stderr,
            "Flag --image-path has been deprecated, use --image instead\n\
             Flag --volume-driver has been deprecated, will be ignored\n"
        );
        for flag in ["--usb", "--ignition-path", "--playbook"] {
            let error = refusal(&format!("machine init --image empty {flag} x"));
            assert!(
                error.starts_with(&format!("Error: `{flag}` is not supported yet\nhint: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_machine_with_a_blank_disk() {
        let bench = Bench::new();
        let empty = bench.root.path().join("empty");
        fs_err::write(&empty, "").expect("a file");
        let args = InitArgs {
            image: Some(empty.into_os_string()),
            ..args("machine init vm --cpus 1 -m 512 --disk-size 1 --volume=")
        };
        let (result, captured) =
            testing::run(&bench, "", async |session| run(&args, session).await);
        assert_eq!(result, Ok(()));
        assert_eq!(
            captured.stdout,
            "Image: none (a blank disk)\nMachine init complete\nTo start your machine run:\n\n\tmachine start vm\n\n"
        );
        assert_eq!(captured.stderr, "");
        let (result, _) = testing::run(&bench, "", async |session| run(&args, session).await);
        let error = result.expect_err("the name is taken");
        assert!(
            error.starts_with("Error: machine \"vm\" already exists\n"),
            "{error}"
        );
    }
}
