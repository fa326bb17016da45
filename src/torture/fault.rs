//! What can go wrong.

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL, and started again.
    Kill,
    /// SIGTERM: it drains and ends, and is started again.
    Restart,
    /// SIGSTOP for three seconds: leases, timeouts and sessions run out meanwhile.
    Freeze,
    /// All connections to a server are cut.
    Disconnect,
    /// A server cannot be reached for three seconds.
    Unreachable,
    /// A server hears everything and its answers are lost: was it committed?
    LostReply,
    /// A server says nothing for three seconds, and nobody is told.
    Silence,
    /// Every packet to and from a server is late for three seconds.
    Slow,
    /// Somebody else holds the lock of a SQLite target for longer than the flow waits.
    Locked,
    /// A statement is run at the source in the midst.
    Ddl,
}

impl Fault {
    /// In the order in which they take turns.
    pub(super) const ALL: [Self; 10] = [
        Self::Kill,
        Self::Disconnect,
        Self::LostReply,
        Self::Ddl,
        Self::Freeze,
        Self::Unreachable,
        Self::Silence,
        Self::Locked,
        Self::Slow,
        Self::Restart,
    ];

    /// What is done, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Restart => "SIGTERM and started again",
            Self::Freeze => "frozen for 3 s",
            Self::Disconnect => "connections cut",
            Self::Unreachable => "server unreachable for 3 s",
            Self::LostReply => "replies lost",
            Self::Silence => "server silent for 3 s",
            Self::Slow => "network slow for 3 s",
            Self::Locked => "target locked",
            Self::Ddl => "statement at the source",
        }
    }

    /// True for what is done at one of the proxies.
    pub(super) fn is_of_network(self) -> bool {
        matches!(self, Self::Disconnect | Self::Unreachable | Self::LostReply | Self::Silence | Self::Slow)
    }

    /// What the flow lacks, where the fault is not possible.
    pub(super) fn lacks(self) -> &'static str {
        match self {
            Self::Locked => "no target is a SQLite file",
            Self::Ddl => "no statement was given by --ddl",
            _ => "no server is reached by TCP",
        }
    }
}
