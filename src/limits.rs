//! Every number that bounds something, with its unit and its reason.
//!
//! A limit that is hit has an answer, a counter in `P/metrics` and a test. Those that an operator may want to move are
//! flags (`config.rs`); what stands here is nobody's business but ours.

use std::time::Duration;

// ---- What one client may send and be owed.

/// Bytes of a request's head. A health check needs a few hundred; nginx takes 8 KiB a line. Answer: 431, or 414 when the
/// target alone fills it.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Bytes of a request's target: room for `?require=` with thirty names of the greatest length. Answer: 414.
pub const TARGET_BYTES: usize = 4 * 1024;

/// Header lines of one request. Browsers send about twenty. Answer: 431.
pub const HEADERS: usize = 64;

/// Bytes of a request's body that are read away so that the connection can go on. No request of ours has one; a larger
/// one ends the connection after its answer.
pub const BODY_BYTES: u64 = 8 * 1024;

/// Answers one client may be owed. More is not pipelining, it is flooding: no further request is read until one has left.
pub const PIPELINE: usize = 16;

/// Bytes made for one client that it has not taken yet, above which none of its requests is read.
pub const UNSENT_BYTES: usize = 16 * 1024;

/// Probes that wait for Docker, in all. Live connections alone cannot come near it; a client that asks, resets and asks
/// again while Docker hangs could. Answer: 503 `busy`.
pub const WAITING_PROBES: usize = 16 * 1024;

/// Clients beyond `--max-clients`, when none of those can be sent away. They are told what is at hand (`P/health` always is),
/// never wait, and go. Answer beyond that: the connection is closed.
pub const EXTRA_CLIENTS: usize = 64;

/// Clients that wait for a change of `P/apps`. A fleet has a few balancers. Answer beyond that: the longest-waiting is told what is
/// so, early.
pub const WATCHERS: usize = 256;

/// Apps that one `?require=` may name: a balancer asks about the few that it cannot do without. Answer: 400.
pub const REQUIRED: usize = 32;

/// How long one may wait for a change: below the minute after which the proxies in between give up. Longer is cut to this.
pub const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// Between two lists while no event comes and somebody waits for a change.
pub const WATCHED_REST: Duration = Duration::from_secs(1);

// ---- How long we wait for a client.

/// For a client to take what was written for it. Ours are small answers; who does not take them in this time does not read.
pub const CLIENT_TO_READ: Duration = Duration::from_secs(10);

/// For a client to close after our last answer. Closing at once with unread input would make the kernel send a reset,
/// which can destroy the answer on its way (RFC 9112 section 9.6).
pub const CLIENT_TO_CLOSE: Duration = Duration::from_secs(2);

/// For everybody's last answers after SIGTERM.
pub const DRAIN: Duration = Duration::from_secs(5);

// ---- What Docker may send.

/// Bytes of the head of an answer of Docker's; a proxy in between may add to it.
pub const RESPONSE_HEAD_BYTES: usize = 16 * 1024;

/// Header lines of an answer of Docker's.
pub const RESPONSE_HEADERS: usize = 64;

/// Digits of a chunk's size. Eight are 4 GiB; leading zeros beyond that are nobody's honest framing.
pub const CHUNK_SIZE_DIGITS: u8 = 8;

/// Bytes of one line of chunked framing (extensions) and of all trailer lines together.
pub const CHUNK_LINE_BYTES: u16 = 4 * 1024;

/// Bytes of a list. A thousand Compose containers are 1.6 MB (measured), so this is room for ten thousand.
pub const LIST_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one container in a list: labels are free text, but a megabyte of them is a mistake.
pub const CONTAINER_BYTES: usize = 1024 * 1024;

/// Bytes of one line of the event stream, which has all labels of its container in it. A longer one is passed over, and all
/// containers are listed anew.
pub const EVENT_BYTES: usize = 1024 * 1024;

/// Containers in a list. Ten times what has been heard of on one host; a list of the least of them would else be a hundred times
/// larger in memory than on the wire.
pub const CONTAINERS: usize = 20_000;

/// Names kept of one container: its own is one, and two while it is renamed.
pub const NAMES: usize = 8;

/// Bytes kept of a container's command, image and status. Each is part of an answer.
pub const TEXT_BYTES: usize = 4 * 1024;

/// Bytes of a container's ports, above which they are left out.
pub const PORTS_BYTES: usize = 64 * 1024;

/// Bytes of the body that are kept of a refusal by Docker, for the message.
pub const REFUSAL_BYTES: usize = 200;

// ---- When Docker is asked again.

/// After a connect that the kernel itself refused (no socket, no listener, no permission): it cost nobody anything.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// After a connect that succeeded and then failed, the first time; doubled each time.
pub const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause. Connecting can start a Docker that an operator has stopped (socket activation), so a prober must not
/// hammer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// For a stream of events that is opened again at once when it ends. One that lived for less is opened again after a pause that grows as
/// above, since a list of all comes behind each.
pub const STREAM_LIVES: Duration = Duration::from_secs(10);

/// Before a connect is tried again that found the socket's queue full. No event announces room there (mio #1560).
pub const FULL_PAUSE: Duration = Duration::from_millis(100);

// ---- Checks of apps.

/// Checks on their way at once. They share one Nginx and the processors of the host with the users of the apps. Whoever comes too
/// many waits for its turn; a probe that has waited for `--check-timeout` by then is told `checking`.
pub const CHECKS_AT_ONCE: usize = 8;

/// Of these, checks of apps whose last one had no answer in time: the others are not to wait for them.
pub const HUNG_CHECKS_AT_ONCE: usize = 6;

/// Bytes read of the body behind a check's status line, which has decided by then: most pages are no longer, and a connection that is
/// closed over what was sent fills the log of the app with broken pipes. A longer page is no fault, so nobody counts it.
pub const CHECK_BODY_BYTES: usize = 64 * 1024;

/// How long an app is checked for after it was last asked about: longer than any balancer's interval.
pub const ASKED_ABOUT: Duration = Duration::from_mins(1);

// ---- How long the word of an event stands against a list.

/// After `die`: as measured a list can say `running` for up to a second; ten times that, and the start that must have come in
/// between was lost.
pub const DEATH_STANDS: Duration = Duration::from_secs(10);

/// After `pause`, `unpause` and `rename`, which Docker announces up to 150 ms (measured) before they show.
pub const CHANGE_STANDS: Duration = Duration::from_secs(3);

/// When a container is looked at again, after an event that no list has agreed to yet.
pub const LOOKS: [Duration; 4] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];

/// After an old Podman has told that a HEALTHCHECK has run, before its outcome is asked for: the journal has the end of the command
/// some 30 ms (measured) before the lists have what came of it.
pub const CHECK_SETTLES: Duration = Duration::from_millis(300);

/// Containers asked about in one question. For more, one list of all is cheaper.
pub const IDS_IN_A_QUESTION: usize = 50;

/// Events remembered so that a replayed one is known: as many as Docker itself keeps.
pub const REPLAYED_EVENTS: usize = 256;

/// How far back events are asked for at the most when the stream is opened again: a list tells the rest.
pub const REPLAY: Duration = Duration::from_mins(1);

/// How far back they are asked for the first time: the clocks of both sides may differ a little.
pub const FIRST_REPLAY: Duration = Duration::from_secs(2);

/// After the stream of a Podman that replays nothing has opened, before all are listed once more: what happened between its head and
/// its first line is not told (measured: the journal is polled each 250 ms).
pub const UNREPLAYED_PAUSE: Duration = Duration::from_secs(1);

/// How many times longer than the longest that has landed a list may take, and rests.
pub const LIST_PATIENCE: u32 = 4;
/// The longest that a list may take, however long others have taken: a Docker that hung once and came back must not be given ever
/// more time to hang.
pub const LONGEST_LIST: Duration = Duration::from_mins(1);

/// How many times longer than it took a list of all rests: Docker 29 can need 30 ms of CPU for each container.
pub const LIST_REST: u32 = 20;

// ---- Drains.

/// Between two looks at the folder of drains: an operator who has made a file waits for it.
pub const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// Entries of that folder: as many as one host has apps, many times over. With more it counts as unreadable, and what was drained
/// stays so.
pub const DRAIN_FILES: usize = 1000;

/// Bytes of one file in it: a sentence and a name. A longer one drains without its reason.
pub const DRAIN_BYTES: usize = 4 * 1024;

/// Bytes of the reason that is given to `drain`, so that the file stays below that.
pub const REASON_BYTES: usize = 1024;

// ---- The commands.

/// For the server to say what a command has asked for: that a drain is seen, or one answer.
pub const COMMAND_PATIENCE: Duration = Duration::from_secs(3);

/// Between two questions of a command that waits for something.
pub const COMMAND_PAUSE: Duration = Duration::from_millis(100);

// ---- The loop.

/// Bytes read at once. One buffer serves all peers; a list of 62 containers is 50 KB.
pub const READ_BYTES: usize = 16 * 1024;

/// The largest buffer kept for the next answer: an answer about one app is some hundred bytes. A larger one is given back to the
/// system.
pub const SPARE_BYTES: usize = 4 * 1024;

/// A buffer of so many bytes goes back to the system when it is free: the metrics of a thousand apps are 400 KB, twice for a moment.
pub const LARGE_BYTES: i32 = 64 * 1024;

/// Bytes read from and written to one client in a turn, before the others have theirs: some hundred requests.
pub const CLIENT_SHARE: usize = 16 * 1024;

/// Bytes read of one answer of Docker's before the others have their turn.
pub const DOCKER_SHARE: usize = 64 * 1024;

/// The same of an app's: all that is read of its body.
pub const CHECK_SHARE: usize = CHECK_BODY_BYTES;

/// Connections accepted from one listener before the others have their turn.
pub const ROUND_ACCEPTS: usize = 64;

/// Before `accept` is tried again after it found no descriptor or no memory, unless somebody leaves earlier.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors beside those of the clients, extra ones included: standard streams, log, poll, signals, listeners, Docker,
/// checks, and some to spare.
pub const OTHER_DESCRIPTORS: u64 = 64;

/// Between two log lines about the same limit, however often it is hit in between.
pub const LOG_PAUSE: Duration = Duration::from_mins(1);

/// How long systemd waits at most for us to be ready: Docker's first answer is worth waiting for, so that whoever starts behind us
/// finds it known, but a Docker that hangs must not hold the start of a host.
pub const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Between two words about how we do to systemd, which writes each to its bus.
pub const STATUS_PAUSE: Duration = Duration::from_secs(1);
