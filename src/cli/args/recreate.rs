//! `machine recreate`.

use std::ffi::OsString;

use clap::Args;

use super::image::FetchArgs;
use super::values::Truth as _;

/// Last lines of the help.
const HELP: &str = "Images, containers, volumes, networks and quadlets stay, and so do keys, ports and\n\
    connections. All else in the guest, home directories included, is lost.\n\n\
    Without NAME the machine is podman-machine-default.";

/// Give a machine a new operating system and keep its containers
#[derive(Debug, Args)]
#[command(override_usage = "machine recreate [options] [NAME]", after_help = HELP)]
pub struct RecreateArgs {
    /// How the image is fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,

    /// Also recreate a machine without a data disk, whose containers, images and volumes are lost by it
    #[arg(long, truth = Some(false))]
    pub discard_data: bool,

    /// Stop the machine first if it runs
    #[arg(short, long, truth = Some(false))]
    pub force: bool,

    /// Image for the new operating system, as `machine init --image` takes it, instead of the one that the machine was
    /// made from
    #[arg(long, value_name = "IMAGE", allow_hyphen_values = true)]
    pub image: Option<OsString>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
