//! Every number that bounds something, with its unit and its reason.
//!
//! The first part are limits that somebody can meet: a client, Docker, an app, an operator. Each has an answer, a counter in
//! `P/metrics` and a test. `tests/papers.rs` makes section LIMITS of the man page from them: of each comment the first sentence, and
//! what stands behind "Answer:" and "Counter:". The second part nobody meets: how much is kept for a message, how long is rested,
//! whose turn it is.
//!
//! What an operator may want to move is a flag (`config.rs`), and only its default stands here.

use std::time::Duration;

// ==== Limits.

// ---- Defaults of flags.

/// Clients at once (`-max-clients`). A thousand idle ones are 1.3 MB, and no host has so many balancers.
/// Answer: the one that has waited for its client the longest makes room, unless it is owed something. Counter:
/// `http_clients_closed_total{why="room"}`, and `http_clients_extra_total` when nobody can make room.
pub const MAX_CLIENTS: usize = 1024;

/// For the rest of a request once it has begun (`-header-timeout`). One that trickles longer holds a connection for nothing.
/// Answer: 408, or the end of the connection when only its body is missing. Counter:
/// `http_requests_refused_total{fault="Late",reason="timeout"}`, or `http_limits_met_total{limit="body"}`.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// For the next request on a connection (`-idle-timeout`). Nginx closes what it keeps to us after 60 s, and whoever asks should
/// close first.
/// Answer: the connection is closed without a word. Counter: `http_clients_closed_total{why="idle"}`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// For Docker to answer, and a probe to wait for it (`-docker-timeout`). A balancer gives up after some seconds too.
/// Answer: 503 `docker-timeout`. Counter: `docker_limits_met_total{limit="time"}`, and for each probe `probes_timed_out_total`.
pub const DOCKER_TIMEOUT: Duration = Duration::from_secs(5);

/// For the last facts to stay good when Docker is gone (`-docker-grace`). Its restart takes less, and containers may outlive it.
/// Answer: 503 with Docker's fault. Counter: `docker_state{state="down"}`.
pub const DOCKER_GRACE: Duration = Duration::from_mins(1);

/// For one check of an app, and its first probe to wait for it (`-check-timeout`). An app that takes longer has
/// nothing left for its users.
/// Answer: the check has failed; 503 `checking` to a probe that has waited for so long. Counter:
/// `check_failures_total{why="timeout"}`, and `probes_unchecked_total`.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

// ---- What one client may send and be owed.

/// Bytes of a request's head. A health check needs a few hundred; nginx takes 8 KiB a line.
/// Answer: 431, or 414 when the target alone fills it. Counter:
/// `http_requests_refused_total{fault="HeadTooLarge",reason="too-large"}`.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Bytes of a request's target. There is room for `?require=` with thirty names of the greatest length.
/// Answer: 414. Counter: `http_requests_refused_total{fault="TargetTooLong",reason="too-long"}`.
pub const TARGET_BYTES: usize = 4 * 1024;

/// Header lines of a request. Browsers send about twenty.
/// Answer: 431. Counter: `http_requests_refused_total{fault="HeadTooLarge",reason="too-large"}`.
pub const HEADERS: usize = 64;

/// Bytes of a request's body that is read away. No request of ours has one.
/// Answer: the connection ends after the answer. Counter: `http_limits_met_total{limit="body"}`.
pub const BODY_BYTES: u64 = 8 * 1024;

/// Bytes of an app's name. Docker's own names have no limit worth the name; a registry path's part has 128.
/// Answer: 400 `bad-name`. Counter: `http_requests_total{path="app",code="400"}`.
pub const APP_BYTES: usize = 128;

/// Apps in one `?require=`. A balancer asks about the few that it cannot do without.
/// Answer: 400. Counter: `bad_queries_total`.
pub const REQUIRED: usize = 32;

/// Answers that one client may be owed. More is not pipelining, it is flooding.
/// Answer: no further request is read until one has left. Counter: `http_limits_met_total{limit="pipeline"}`.
pub const PIPELINE: usize = 16;

/// Bytes of answers that one client has not taken yet. Ours are small, and nobody needs many of them at once.
/// Answer: no further request of its is read until it takes some. Counter: `http_limits_met_total{limit="unsent"}`.
pub const UNSENT_BYTES: usize = 16 * 1024;

/// Bytes of answers that all clients together have not taken yet. Above it no answer larger than 1 KiB is made, as those about all apps are: a
/// thousand clients that read nothing would else take more memory than the service may have. Balancers read.
/// Answer: 503 `busy` in place of an answer larger than 1 KiB. Counter: `http_limits_met_total{limit="unsent_in_all"}`.
pub const UNSENT_BYTES_IN_ALL: usize = 32 * 1024 * 1024;

/// Bytes of answers that the kernel holds for one client. It takes twice that, and a packet more; by itself it would hold forty times as much,
/// which is charged to the service. Less than a segment of the loopback (64 KiB) would wait for its acknowledgement each time.
/// Answer: no further request of its is read until it takes some. Counter: `http_limits_met_total{limit="unsent"}`.
pub const KERNEL_BYTES: usize = 64 * 1024;

/// Bytes of requests that the kernel holds of one client. It takes twice that.
/// Answer: no more of its is taken until they are read. Counter: none, since the kernel does not tell.
pub const KERNEL_REQUEST_BYTES: usize = 16 * 1024;

/// Probes that wait, for Docker or a check, in all. So many can those clients ask for that the default of `-max-clients` lets in; more
/// clients could ask for more.
/// Answer: 503 `busy`. Counter: `probes_busy_total`.
pub const WAITING_PROBES: usize = 16 * 1024;

/// Clients beyond `-max-clients`, when nobody makes room. They are told what is at hand (`P/health` always is), never wait, and
/// go.
/// Answer: the connection is closed. Counter: `http_clients_turned_away_total`.
pub const EXTRA_CLIENTS: usize = 64;

/// Clients that wait for a change of all apps, and no more than a quarter of `-max-clients`. A fleet has a few balancers.
/// Answer: the longest-waiting is told what is so, early. Counter: `watchers_early_total`.
pub const WATCHERS: usize = 256;

/// For one to wait for a change. It is below the minute after which the proxies in between give up.
/// Answer: a longer `?wait=` is cut to this. Counter: `http_limits_met_total{limit="wait"}`.
pub const LONGEST_WAIT: Duration = Duration::from_secs(50);

// ---- How long we wait for a client.

/// For a client to take what was written for it. Ours are small answers; who does not take them in this time does not read.
/// Answer: the connection is closed. Counter: `http_clients_closed_total{why="unread"}`.
pub const CLIENT_TO_READ: Duration = Duration::from_secs(10);

/// For a client to close after the last answer. Closing at once with unread input would make the kernel send a reset, which can
/// destroy the answer on its way (RFC 9112 section 9.6).
/// Answer: the connection is closed. Counter: `http_clients_closed_total{why="lingering"}`.
pub const CLIENT_TO_CLOSE: Duration = Duration::from_secs(2);

/// For everybody's last answers after SIGTERM. A service manager waits longer before it kills.
/// Answer: the connections are closed. Counter: none, since nobody can ask any more; the last line of the log says how many.
pub const DRAIN: Duration = Duration::from_secs(5);

// ---- What Docker may send.

/// Bytes of the head of an answer of Docker's. A proxy in between may add to it. The same goes for an answer to a check.
/// Answer: 503 `docker-error`, of an app `check-failed`; a stream of events is opened anew. Counter: `docker_failures_total`,
/// and `docker_streams_failed_total` for streams; `check_failures_total{why="malformed"}`.
pub const RESPONSE_HEAD_BYTES: usize = 16 * 1024;

/// Header lines of an answer of Docker's. It sends ten; a proxy adds some. The same goes for an answer to a check.
/// Answer: 503 `docker-error`, of an app `check-failed`; a stream of events is opened anew. Counter: `docker_failures_total`,
/// and `docker_streams_failed_total` for streams; `check_failures_total{why="malformed"}`.
pub const RESPONSE_HEADERS: usize = 64;

/// Digits of a chunk's size. Eight are 4 GiB; leading zeros beyond that are nobody's honest framing.
/// Answer: 503 `docker-error`; a stream of events is opened anew. Counter: `docker_failures_total`, and
/// `docker_streams_failed_total` for streams.
pub const CHUNK_SIZE_DIGITS: u8 = 8;

/// Bytes of one line of chunked framing, or of all trailer lines together. Docker sends neither extensions nor trailers.
/// Answer: 503 `docker-error`; a stream of events is opened anew. Counter: `docker_failures_total`, and
/// `docker_streams_failed_total` for streams.
pub const CHUNK_LINE_BYTES: u16 = 4 * 1024;

/// Bytes of a list of containers. A thousand Compose containers are 1.6 MB (measured), so this is room for ten thousand.
/// Answer: 503 `docker-error`. Counter: `docker_limits_met_total{limit="size"}`.
pub const LIST_BYTES: usize = 16 * 1024 * 1024;

/// Containers in a list. Ten times what has been heard of on one host; a list of the least of them would else be a hundred
/// times larger in memory than on the wire. A further name of a container counts as one more, since it answers to each.
/// Answer: 503 `docker-error`. Counter: `docker_limits_met_total{limit="size"}`.
pub const CONTAINERS: usize = 20_000;

/// Bytes of one container in a list. Labels are free text, but a megabyte of them is a mistake.
/// Answer: 503 `docker-error`. Counter: `docker_limits_met_total{limit="size"}`.
pub const CONTAINER_BYTES: usize = 1024 * 1024;

/// Bytes of one event. It has all labels of its container in it.
/// Answer: it is passed over, and all containers are listed anew. Counter: `docker_events_too_long_total`.
pub const EVENT_BYTES: usize = 1024 * 1024;

/// For an event to be read after it has happened. Docker takes milliseconds, and until then the view is wrong: a proxy holds events back, as
/// Nginx does that buffers, or the clocks of both sides differ.
/// Answer: it is believed all the same, and the log says so once a stream. Counter: `docker_events_late_total`.
pub const EVENT_LATE: Duration = Duration::from_secs(3);

/// Containers of which events alone have told. They are kept until a list of all says what they are, which a Docker that tells of ever more
/// may never send.
/// Answer: a further one is passed over, and all containers are listed anew. Counter: `docker_limits_met_total{limit="size"}`.
pub const UNLISTED: usize = 20_000;

/// For a list of containers, where earlier ones have taken long. A Docker that hung once and came back must not be given ever
/// more time to hang.
/// Answer: 503 `docker-timeout`. Counter: `docker_limits_met_total{limit="time"}`.
pub const LONGEST_LIST: Duration = Duration::from_mins(1);

// ---- Checks of apps.

/// Checks on their way at once. They share one Nginx and the processors of the host with the users of the apps.
/// Answer: the next one waits for its turn; 503 `checking` to a probe that has waited for `-check-timeout` by then. Counter:
/// `probes_unchecked_total`.
pub const CHECKS_AT_ONCE: usize = 8;

/// Of these, checks of apps whose last one had no answer in time. The others are not to wait for them.
/// Answer: the next one of such an app waits for its turn, and what is known of the app stands. Counter:
/// `check_failures_total{why="timeout"}`, which has gone up for each of them.
pub const HUNG_CHECKS_AT_ONCE: usize = 6;

// ---- Drains.

/// Entries of the folder of drains. As many as one host has apps, many times over.
/// Answer: no new file is seen but `all`; a warning in the log. Counter: `drain_faults_total`.
pub const DRAIN_FILES: usize = 1000;

/// Bytes of one file in it. A sentence and a name are less.
/// Answer: it drains without its reason, and for good; a warning in the log. Counter: `drain_faults_total`.
pub const DRAIN_BYTES: usize = 4 * 1024;

/// Bytes of the reason that is given to `drain`. The file is to stay below its own limit.
/// Answer: the command ends with 64 and says so. Counter: none, since the server is not asked.
pub const REASON_BYTES: usize = 1024;

/// Characters of the name of who drains. As that of the reason.
/// Answer: the rest is left out. Counter: none, since the server is not asked.
pub const BY_CHARS: usize = 64;

// ---- The commands and the service.

/// For the server to say what a command has asked for. It looks at the folder of drains each second.
/// Answer: the command ends with 3 and says what it was told. Counter: none, since the server may not be there.
pub const COMMAND_PATIENCE: Duration = Duration::from_secs(3);

/// Descriptors beside those of the clients. They are standard streams, log, poll, signals, listeners, Docker, checks, and some
/// to spare.
/// Answer: where the system allows fewer in all, `-max-clients` is lowered, with a warning in the log. Counter:
/// `process_max_fds`; `http_accept_failures_total` when there are none left.
pub const OTHER_DESCRIPTORS: u64 = 64;

// ==== What nobody meets.

// ---- How much is kept of what clients say.

/// Heads of requests that are known by their bytes. A host has some dozen apps, and few balancers, each with its own way to ask.
pub const KNOWN: usize = 256;

/// Bytes of a head that is known by them. That of a probe by Nginx, `HAProxy`, Consul or curl has 60 to 200.
pub const KNOWN_BYTES: usize = 256;

// ---- How much is kept of what Docker says.

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

/// Before the kernel asks Docker, over TCP, whether it still has a connection on which nothing comes. A firewall forgets one in some minutes.
pub const ALIVE_AFTER: Duration = Duration::from_secs(30);

/// Between two of these questions.
pub const ALIVE_PAUSE: Duration = Duration::from_secs(10);

/// So many of them without an answer, and the connection is lost.
pub const ALIVE_TRIES: u32 = 3;

/// Before a connect is tried again that found the socket's queue full. No event announces room there (mio #1560).
pub const FULL_PAUSE: Duration = Duration::from_millis(100);

/// Between two lists while no event comes and somebody waits for a change.
pub const WATCHED_REST: Duration = Duration::from_secs(1);

/// How many times longer than the longest that has landed a list may take, and rests.
pub const LIST_PATIENCE: u32 = 4;

/// How many times longer than it took a list of all rests: Docker 29 can need 30 ms of CPU for each container.
pub const LIST_REST: u32 = 20;

// ---- Checks of apps, further.

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

/// Bytes that are kept of the name in an event, and of each label that names an app or a service: room for the longest name of an app,
/// and a number. What is longer is no app's, and a list has the rest; what happened to the container is told all the same.
pub const EVENT_NAME_BYTES: usize = 160;

/// Events remembered so that a replayed one is known: as many as Docker itself keeps.
pub const REPLAYED_EVENTS: usize = 256;

/// How far back events are asked for at the most when the stream is opened again: a list tells the rest.
pub const REPLAY: Duration = Duration::from_mins(1);

/// How far back they are asked for the first time: the clocks of both sides may differ a little.
pub const FIRST_REPLAY: Duration = Duration::from_secs(2);

/// After the stream of a Podman that replays nothing has opened, before all are listed once more: what happened between its head and
/// its first line is not told (measured: the journal is polled each 250 ms).
pub const UNREPLAYED_PAUSE: Duration = Duration::from_secs(1);

// ---- Looking.

/// Between two looks at the folder of drains: an operator who has made a file waits for it.
pub const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// Between two questions of a command that waits for something.
pub const COMMAND_PAUSE: Duration = Duration::from_millis(100);

// ---- The loop.

/// One in so many of the clients may wait for a change. The others are for probes.
pub const WATCHERS_SHARE: usize = 4;

/// Bytes read at once. One buffer serves all peers; a list of 62 containers is 50 KB.
pub const READ_BYTES: usize = 16 * 1024;

/// An answer with a larger body is counted among what clients have not read: those about one app hardly are.
pub const LARGE_ANSWER: usize = 1024;

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

/// A turn that begins so much later than it was to begin at the latest: until then this process, or its machine, stood still. The processor time
/// that it has used meanwhile does not count.
pub const STANDSTILL: Duration = Duration::from_secs(1);

/// Between two log lines about the same limit, however often it is hit in between.
pub const LOG_PAUSE: Duration = Duration::from_mins(1);

/// How long systemd waits at most for us to be ready: Docker's first answer is worth waiting for, so that whoever starts behind us
/// finds it known, but a Docker that hangs must not hold the start of a host.
pub const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Between two words about how we do to systemd, which writes each to its bus.
pub const STATUS_PAUSE: Duration = Duration::from_secs(1);
