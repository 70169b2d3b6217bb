//! Who is killed, and when. What comes of it is the same for all: see [`super::bed`].

use std::fmt;

/// A process of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    Supervisor,
    /// QEMU.
    Vm,
    /// A virtiofsd.
    Share,
    /// passt.
    Network,
    /// vhost-device-vsock.
    Vsock,
    /// In the guest.
    Agent,
    /// The service of Podman in the guest, of both users.
    Engine,
}

/// What is going on meanwhile. `init` has a test of its own (src/store/killed.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Start,
    Running,
    Set,
    Stop,
    Rm,
}

use Actor::{Agent, Engine, Network, Share, Supervisor, Vm, Vsock};

const ACTORS: [Actor; 7] = [Supervisor, Vm, Share, Network, Vsock, Agent, Engine];
const PHASES: [Phase; 5] = [
    Phase::Start,
    Phase::Running,
    Phase::Set,
    Phase::Stop,
    Phase::Rm,
];

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Killed together.
    pub(super) actors: Vec<Actor>,
    pub(super) phase: Phase,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} while {:?}", self.actors, self.phase)
    }
}

impl Case {
    pub(super) fn kills(&self, actor: Actor) -> bool {
        self.actors.contains(&actor)
    }

    /// The guest's processes cannot be reached before it is up.
    fn is_possible(&self) -> bool {
        self.phase != Phase::Start || !(self.kills(Agent) || self.kills(Engine))
    }
}

/// What runs in every run, in an order that needs three boots.
pub(super) fn quick() -> Vec<Case> {
    let rows: [(&[Actor], Phase); 20] = [
        (&[Supervisor], Phase::Running),
        (&[Supervisor, Agent], Phase::Running),
        (&[Supervisor, Engine], Phase::Running),
        (&[Supervisor, Network], Phase::Running),
        (&[Agent, Engine], Phase::Running),
        (&[Network, Agent], Phase::Running),
        (&[Network], Phase::Running),
        (&[Engine], Phase::Running),
        (&[Supervisor], Phase::Set),
        (&[Supervisor, Network], Phase::Set),
        (&[Supervisor, Agent], Phase::Set),
        (&[Network, Engine], Phase::Set),
        (&[Agent], Phase::Set),
        (&[Engine], Phase::Set),
        (&[Vsock], Phase::Running),
        (&[Share], Phase::Running),
        (&[Vm], Phase::Running),
        (&[Supervisor], Phase::Start),
        (&[Supervisor], Phase::Stop),
        (&[Supervisor], Phase::Rm),
    ];
    let rows = rows.map(|(actors, phase)| Case {
        actors: actors.to_vec(),
        phase,
    });
    rows.into()
}

/// Every actor alone and with every other, in every phase, in an order that the seed decides.
pub(super) fn all(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, one) in ACTORS.iter().enumerate() {
        for other in &ACTORS[at..] {
            for phase in PHASES {
                let mut actors = vec![*one];
                if other != one {
                    actors.push(*other);
                }
                cases.push(Case { actors, phase });
            }
        }
    }
    cases.retain(Case::is_possible);
    let mut dice = Dice(seed);
    for at in (1..cases.len()).rev() {
        cases.swap(at, dice.below(at + 1));
    }
    cases
}

/// `SplitMix64` (Steele, Lea and Flood 2014): the same throws for the same seed on every host.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).expect("it is below a usize")
    }
}
