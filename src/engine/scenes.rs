//! Orders of events that were once told wrong, each step by step.

#![expect(
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test has to start at some instant, and looks at what it is about"
)]

use std::time::{Duration, Instant};

use super::watch::Query;
use super::{Action, Answer, AppName, CheckSettings, Engine, FlightId, Path, Route, Settings, Ticket, Trust};
use crate::config::Config;
use crate::docker::event::{Event, Line, What};
use crate::docker::exchange::{Listed, Told};
use crate::docker::{Container, Fault, Health, Parts, Question, State, Texts};
use crate::http::response::Broken;
use crate::lost::Lost;
use crate::slots::{Id, Slots};

const UNIX: Duration = Duration::from_hours(500_000);

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The container `a` of `app`, without a HEALTHCHECK.
fn container(state: State) -> Container {
    named("a", "app-1", state)
}

fn named(id: &str, names: &str, state: State) -> Container {
    let status = format!("{state:?} 5 days");
    let parts = Parts { id, names, image: "image", status: &status, ports: "[]", ..Parts::default() };
    Container { texts: Texts::of(&parts), state, ..Container::default() }
}

fn listed(containers: Vec<Container>) -> Listed {
    Listed { containers, ..Listed::default() }
}

/// An engine, and a Docker that says what a test wants.
struct Scene {
    engine: Engine,
    now: Instant,
    stream: Option<FlightId>,
    events: u64,
    clients: Slots<()>,
}

impl Scene {
    /// One whose view is live, with these containers.
    fn live(settings: Settings, containers: &[Container]) -> Self {
        let now = Instant::now();
        let engine = Engine::new(settings, 1, now, UNIX);
        let mut scene = Self { engine, now, stream: None, events: 0, clients: Slots::new() };
        loop {
            let asks = scene.asks();
            if asks.is_empty() {
                break;
            }
            for (flight, question) in asks {
                if matches!(question, Question::Events { .. }) {
                    scene.stream = Some(flight);
                    scene.engine.docker_told(flight, &Told::Opened, now);
                } else {
                    scene.engine.docker_said(flight, Ok(listed(containers.to_vec())), now);
                }
            }
        }
        assert_eq!(scene.engine.trust(now), Trust::Live);
        scene
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.engine.due(self.now);
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.engine.next_action(self.now)).collect()
    }

    /// The questions that leave now.
    fn asks(&mut self) -> Vec<(FlightId, Question)> {
        let asks = self.actions().into_iter().filter_map(|action| match action {
            Action::Ask(flight, question, _) => Some((flight, question)),
            _ => None,
        });
        asks.collect()
    }

    /// The one question that leaves now.
    fn asks_one(&mut self) -> (FlightId, Question) {
        let mut asks = self.asks();
        assert_eq!(asks.len(), 1, "{asks:?}");
        asks.remove(0)
    }

    fn tells(&mut self, what: What) {
        self.tells_of(Event { id: "a".into(), name: "app-1".into(), what, ..Event::default() });
    }

    fn tells_of(&mut self, event: Event) {
        self.events += 1;
        let event = Event { at: 7_000_000_000 + self.events, ..event };
        self.engine.docker_told(self.stream.unwrap(), &Told::Line(Line::Event(event)), self.now);
    }

    /// Tells that it was started so long after the scene had begun, by Docker's clock.
    fn was_started(&mut self, after: Duration) {
        let at = u64::try_from((UNIX + after).as_nanos()).unwrap();
        let event = Event { id: "a".into(), name: "app-1".into(), what: What::Started, at, ..Event::default() };
        self.engine.docker_told(self.stream.unwrap(), &Told::Line(Line::Event(event)), self.now);
    }

    fn cut(&mut self) {
        self.engine.docker_said(self.stream.take().unwrap(), Err(Fault::Broken(Broken::CutShort)), self.now);
    }

    /// The stream is cut and, as it has lived for a while, opened again at once. Gives the list that is asked for.
    fn reopens(&mut self) -> FlightId {
        self.wait(Duration::from_secs(12));
        self.cut();
        let (stream, _) = self.asks_one();
        self.stream = Some(stream);
        self.engine.docker_told(stream, &Told::Opened, self.now);
        self.asks_one().0
    }

    fn says(&mut self, flight: FlightId, containers: Vec<Container>) {
        self.engine.docker_said(flight, Ok(listed(containers)), self.now);
    }

    fn client(&mut self) -> Id {
        self.clients.insert(())
    }

    fn probe(&mut self, app: &str) {
        let ticket = Ticket { connection: self.client(), number: 0, path: Path::App };
        let app = AppName::parse(app.as_bytes()).unwrap();
        self.engine.asked(ticket, Route::App(app), true, self.now);
    }

    /// What a probe of `app` is told: `up`, or why not.
    fn verdict(&mut self) -> &'static str {
        match self.engine.verdict(&AppName::parse(b"app").unwrap()).map(|verdict| &verdict.answer) {
            Some(Answer::Up(_)) => "up",
            Some(Answer::Down(reason, _)) => reason.word(),
            None | Some(Answer::NoContainer { .. }) => "no-container",
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn settings() -> Settings {
    Config::default().settings()
}

fn checks() -> CheckSettings {
    CheckSettings { interval: Duration::from_secs(2), timeout: Duration::from_secs(3), fall: 2, rise: 1, fail: vec![502..=504] }
}

#[test]
fn a_container_that_a_small_list_lacks_does_not_come_back_from_an_older_list_of_all() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(settings().resync);
    let (all, _) = scene.asks_one();
    scene.tells(What::Died(137));
    scene.tells(What::Removed);
    scene.wait(milliseconds(300));
    let (few, question) = scene.asks_one();
    assert_eq!(question, Question::About(vec!["a".into()]));
    scene.says(few, vec![]);
    scene.says(all, vec![container(State::Running)]);
    assert_eq!(scene.verdict(), "no-container");
    assert_eq!(scene.engine.containers(), 0);
}

#[test]
fn a_small_list_that_comes_late_brings_back_nobody_whom_a_newer_list_of_all_lacks() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(settings().resync.saturating_sub(milliseconds(1)));
    scene.tells(What::Unpaused);
    scene.wait(milliseconds(1));
    let (all, _) = scene.asks_one();
    scene.wait(milliseconds(299));
    let (few, _) = scene.asks_one();
    scene.says(all, vec![]);
    assert_eq!(scene.verdict(), "no-container");
    scene.says(few, vec![container(State::Running)]);
    assert_eq!(scene.verdict(), "no-container");
}

#[test]
fn a_list_is_not_believed_behind_one_that_was_asked_for_later() {
    for (what, state) in [(What::Died(1), State::Exited), (What::Paused, State::Paused)] {
        let mut scene = Scene::live(settings(), &[container(State::Running)]);
        scene.wait(settings().resync.saturating_sub(milliseconds(1)));
        scene.tells(what);
        scene.wait(milliseconds(1));
        let (all, _) = scene.asks_one();
        scene.wait(milliseconds(299));
        let (few, _) = scene.asks_one();
        scene.says(few, vec![container(state)]);
        scene.says(all, vec![container(State::Running)]);
        assert_ne!(scene.verdict(), "up", "{what:?}");
        // But it is a reason to look again.
        let again = scene.asks();
        assert!(matches!(*again, [(_, Question::About(_))] | []), "{again:?}");
        for (few, _) in again {
            scene.says(few, vec![container(state)]);
        }
        // What is asked for later is believed.
        scene.wait(settings().resync);
        let (all, _) = scene.asks_one();
        scene.says(all, vec![container(State::Running)]);
        assert_eq!(scene.verdict(), "up", "{what:?}");
    }
}

#[test]
fn one_that_was_found_paused_is_up_when_a_list_has_shown_its_health() {
    let mut scene = Scene::live(settings(), &[container(State::Paused)]);
    scene.wait(milliseconds(100));
    scene.tells(What::Unpaused);
    assert_eq!(scene.verdict(), "starting");
    let (few, _) = scene.asks_one();
    scene.says(few, vec![container(State::Running)]);
    assert_eq!(scene.verdict(), "up");
    // From then on it is known to have no HEALTHCHECK.
    scene.tells(What::Paused);
    scene.tells(What::Unpaused);
    assert_eq!(scene.verdict(), "up");
    assert_eq!(scene.asks(), []);
}

#[test]
fn whoever_leaves_before_the_list_comes_never_waits_for_a_change() {
    let mut scene = Scene::live(Settings { watchers: 2, ..settings() }, &[]);
    scene.engine.docker_said(scene.stream.unwrap(), Err(Fault::Status(403, "no".into())), scene.now);
    let survey = |scene: &mut Scene| {
        let connection = scene.client();
        let query = Query { index: Some(scene.engine.index()), wait: Duration::from_secs(50), ..Query::default() };
        scene.engine.asked(Ticket { connection, number: 0, path: Path::Apps }, Route::Apps(Box::new(query)), true, scene.now);
        connection
    };
    let mut all = None;
    let mut ask = |scene: &mut Scene| {
        for (flight, question) in scene.asks() {
            match question {
                Question::All => all = Some(flight),
                _ => scene.engine.docker_said(flight, Err(Fault::Status(403, "no".into())), scene.now),
            }
        }
        all.take().unwrap()
    };
    // The first one is told that the view is blind.
    for _ in 0..2 {
        survey(&mut scene);
        let list = ask(&mut scene);
        scene.says(list, vec![]);
    }
    assert_eq!(scene.engine.watchers(), 1);
    for _ in 0..3 {
        let leaves = survey(&mut scene);
        let list = ask(&mut scene);
        scene.engine.left(leaves);
        scene.says(list, vec![]);
    }
    assert_eq!((scene.engine.watchers(), scene.engine.counts().watchers_early), (1, 0));
}

#[test]
fn the_first_list_after_docker_was_gone_gives_life_back() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(milliseconds(1000));
    scene.tells(What::Died(137));
    scene.engine.docker_said(scene.stream.unwrap(), Err(Fault::Broken(Broken::CutShort)), scene.now);
    scene.probe("app");
    for (flight, _) in scene.asks() {
        scene.engine.docker_said(flight, Err(Fault::Lost(Lost::NoSocket)), scene.now);
    }
    assert_eq!((scene.engine.trust(scene.now), scene.verdict()), (Trust::Stale, "exited"));
    scene.wait(milliseconds(1000));
    let (all, question) = scene.asks_one();
    assert_eq!(question, Question::All);
    scene.says(all, vec![container(State::Running)]);
    assert_eq!(scene.verdict(), "up");
}

#[test]
fn an_event_of_a_new_container_says_whose_it_is() {
    for (app, service, key) in [("", "web", "web"), ("shop", "web", "shop"), ("", "", "proj-web")] {
        let mut scene = Scene::live(settings(), &[]);
        let before = scene.engine.index();
        let (id, name) = ("b".into(), "proj-web-1".into());
        scene.tells_of(Event { id, name, app: app.into(), service: service.into(), what: What::Created, ..Event::default() });
        let (few, _) = scene.asks_one();
        let rows = |scene: &Scene| scene.engine.rows().iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(rows(&scene), [key]);
        let index = scene.engine.index();
        assert_ne!(index, before);
        let parts = Parts { id: "b", names: "proj-web-1", image: "image", ports: "[]", app, service, ..Parts::default() };
        scene.says(few, vec![Container { texts: Texts::of(&parts), state: State::Created, created: 7, ..Container::default() }]);
        scene.actions();
        assert_eq!((rows(&scene), scene.engine.index()), (vec![key.to_owned()], index), "that it is so is no change");
    }
}

#[test]
fn the_first_check_of_an_app_that_was_started_again_waits_for_none_of_those_that_hang() {
    let CheckSettings { interval, timeout, .. } = checks();
    let apps: Vec<_> = (0..8).map(|number| format!("app{number}")).collect();
    let all = |state| apps.iter().map(|app| named(&app.replace("app", "a"), app, state)).collect::<Vec<_>>();
    let mut scene = Scene::live(Settings { check: Some(checks()), ..settings() }, &all(State::Running));
    let checks = |scene: &mut Scene| {
        let mut checks = Vec::new();
        for action in scene.actions() {
            match action {
                Action::Check(_, app) => checks.push(app.as_str().to_owned()),
                Action::Ask(flight, ..) => scene.says(flight, all(State::Running)),
                _ => {}
            }
        }
        checks
    };
    for app in &apps {
        scene.probe(app);
    }
    assert_eq!(checks(&mut scene).len(), 8);
    scene.wait(timeout);
    let mut flying = checks(&mut scene);
    scene.wait(interval);
    flying.extend(checks(&mut scene));
    assert_eq!(flying.len(), crate::limits::HUNG_CHECKS_AT_ONCE, "all hang: {flying:?}");
    let again = apps.iter().find(|app| !flying.contains(app)).unwrap();
    let event = |what| Event { id: again.replace("app", "a").into(), name: again.as_str().into(), what, ..Event::default() };
    scene.tells_of(event(What::Died(1)));
    checks(&mut scene);
    scene.tells_of(event(What::Started));
    scene.probe(again);
    let sent: Vec<_> = checks(&mut scene).into_iter().chain(checks(&mut scene)).collect();
    assert_eq!(sent, [again.as_str()]);
}

#[test]
fn those_who_wait_for_a_check_take_places_too_until_it_has_decided() {
    let check = CheckSettings { interval: Duration::from_secs(5), ..checks() };
    let mut scene = Scene::live(Settings { check: Some(check), ..settings() }, &[container(State::Running)]);
    for _ in 0..crate::limits::WAITING_PROBES {
        scene.probe("app");
    }
    let actions = scene.actions();
    let [Action::Check(flight, _)] = *actions else { panic!("{actions:?}") };
    scene.probe("app");
    let actions = scene.actions();
    assert!(matches!(&*actions, [Action::Answer(_, Answer::Busy)]), "{actions:?}");
    assert_eq!(scene.engine.counts().busy, 1);
    scene.engine.check_told(flight, 200, scene.now);
    let told = |scene: &mut Scene| scene.actions().iter().filter(|action| matches!(action, Action::Verdict(_, _, false))).count();
    assert_eq!(told(&mut scene), crate::limits::WAITING_PROBES);
    scene.probe("app");
    assert_eq!(told(&mut scene), 1, "nobody waits any more");
}

#[test]
fn a_list_rests_twenty_times_as_long_as_it_took() {
    let mut scene = Scene::live(Settings { resync: milliseconds(100), ..settings() }, &[]);
    scene.wait(milliseconds(100));
    let (all, _) = scene.asks_one();
    scene.wait(milliseconds(300));
    scene.says(all, vec![]);
    scene.wait(milliseconds(5999));
    assert_eq!(scene.asks(), []);
    scene.wait(milliseconds(1));
    assert_eq!(scene.asks_one().1, Question::All);
}

#[test]
fn a_death_that_docker_told_on_its_way_out_does_not_outlive_it() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(settings().resync);
    let (all, _) = scene.asks_one();
    // Told to stop, it removes its socket at once, and tells of the deaths of its containers for seconds more.
    scene.engine.docker_said(all, Err(Fault::Lost(Lost::NoSocket)), scene.now);
    scene.wait(milliseconds(500));
    scene.tells(What::Died(137));
    scene.cut();
    scene.wait(milliseconds(1500));
    let (all, question) = scene.asks_one();
    assert_eq!(question, Question::All);
    scene.says(all, vec![container(State::Running)]);
    assert_eq!(scene.verdict(), "up");
}

/// Questions about some and about all leave in the same turn.
fn asks_both(scene: &mut Scene) -> (FlightId, FlightId) {
    match *scene.asks() {
        [(few, Question::About(_)), (all, Question::All)] => (few, all),
        ref asks => panic!("{asks:?}"),
    }
}

fn of_health(health: Health) -> Container {
    Container { health, ..container(State::Running) }
}

#[test]
fn a_list_that_was_asked_for_before_health_was_told_does_not_take_it_back() {
    for (told, older, want) in [(Health::Unhealthy, Health::Healthy, "unhealthy"), (Health::Healthy, Health::Unhealthy, "up")] {
        let mut scene = Scene::live(settings(), &[of_health(older)]);
        scene.wait(settings().resync.saturating_sub(milliseconds(300)));
        scene.tells(What::Paused);
        scene.tells(What::Unpaused);
        scene.wait(milliseconds(300));
        let (few, all) = asks_both(&mut scene);
        scene.says(few, vec![of_health(told)]);
        // It is known already, and told all the same.
        scene.tells(What::Health(told));
        scene.says(all, vec![of_health(older)]);
        assert_eq!(scene.verdict(), want);
    }
}

#[test]
fn what_one_list_has_shown_is_not_taken_back_by_one_that_is_on_its_way() {
    for (what, state) in [(What::Died(1), State::Exited), (What::Paused, State::Paused)] {
        let mut scene = Scene::live(settings(), &[container(State::Running)]);
        scene.wait(settings().resync.saturating_sub(milliseconds(300)));
        scene.tells(what);
        scene.wait(milliseconds(300));
        let (few, all) = asks_both(&mut scene);
        scene.says(few, vec![container(state)]);
        scene.says(all, vec![container(State::Running)]);
        assert_ne!(scene.verdict(), "up", "{what:?}");
    }
}

#[test]
fn an_old_name_does_not_come_back() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(settings().resync.saturating_sub(milliseconds(300)));
    scene.tells_of(Event { id: "a".into(), name: "other".into(), what: What::Renamed, ..Event::default() });
    scene.wait(milliseconds(300));
    let (few, all) = asks_both(&mut scene);
    scene.says(few, vec![named("a", "other", State::Running)]);
    assert_eq!(scene.verdict(), "no-container");
    scene.says(all, vec![named("a", "app-1/other", State::Running)]);
    assert_eq!(scene.verdict(), "no-container");
}

#[test]
fn what_is_replayed_does_not_hide_what_was_lost() {
    // A start, of which only the health that came of it is still told.
    let mut scene = Scene::live(settings(), &[of_health(Health::Healthy)]);
    scene.tells(What::Died(1));
    scene.wait(milliseconds(300));
    let (few, _) = scene.asks_one();
    scene.says(few, vec![container(State::Exited)]);
    let all = scene.reopens();
    scene.tells(What::Health(Health::Healthy));
    scene.says(all, vec![of_health(Health::Healthy)]);
    assert_eq!(scene.verdict(), "up");

    // A rename, of which only a start is: the list was asked for before that was read, and is a reason to look again.
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    let all = scene.reopens();
    scene.tells_of(Event { id: "a".into(), name: "other".into(), what: What::Started, ..Event::default() });
    scene.says(all, vec![named("a", "other", State::Running)]);
    let (few, _) = scene.asks_one();
    scene.says(few, vec![named("a", "other", State::Running)]);
    assert_eq!(scene.verdict(), "no-container");
}

#[test]
fn a_full_queue_is_waited_for_and_is_no_docker_that_is_gone() {
    let full = || Err(Fault::Lost(Lost::Full));
    let mut scene = Scene::live(settings(), &[container(State::Exited)]);
    scene.wait(milliseconds(20_000));
    scene.tells(What::Started);
    scene.probe("app");
    let (few, question) = scene.asks_one();
    scene.engine.docker_said(few, full(), scene.now);
    assert_eq!((scene.actions(), scene.engine.trust(scene.now)), (vec![], Trust::Live));
    scene.wait(crate::limits::FULL_PAUSE);
    let (few, again) = scene.asks_one();
    assert_eq!(again, question);
    scene.says(few, vec![container(State::Running)]);
    let told = scene.actions();
    assert!(told.iter().any(|action| matches!(action, Action::Verdict(_, _, false))), "{told:?}");
    assert_eq!(scene.verdict(), "up");

    // As long as an answer would be waited for, and no longer.
    scene.tells_of(Event { id: "b".into(), name: "app-2".into(), what: What::Created, ..Event::default() });
    let until = scene.now + settings().docker_timeout;
    while scene.now < until {
        assert_eq!(scene.engine.trust(scene.now), Trust::Live);
        for (few, _) in scene.asks() {
            scene.engine.docker_said(few, full(), scene.now);
        }
        scene.wait(crate::limits::FULL_PAUSE);
    }
    assert_eq!(scene.engine.trust(scene.now), Trust::Stale);
    let told = scene.actions();
    assert!(told.contains(&Action::DockerLost(Fault::Lost(Lost::Full))), "{told:?}");

    // The stream finds it full.
    let mut scene = Scene::live(settings(), &[]);
    scene.wait(milliseconds(20_000));
    scene.cut();
    let (stream, _) = scene.asks_one();
    scene.engine.docker_said(stream, full(), scene.now);
    assert_eq!((scene.actions(), scene.engine.trust(scene.now)), (vec![], Trust::Blind));
    scene.wait(crate::limits::FULL_PAUSE);
    assert!(matches!(scene.asks_one().1, Question::Events { .. }));
}

#[test]
fn a_stream_that_the_network_has_lost_says_nothing_yet_of_docker() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(milliseconds(20_000));
    scene.engine.docker_said(scene.stream.take().unwrap(), Err(Fault::Lost(Lost::Unreachable(110))), scene.now);
    assert_eq!(scene.engine.trust(scene.now), Trust::Blind);
    scene.probe("app");
    let asks: Vec<_> = scene.asks().into_iter().map(|(_, question)| question).collect();
    assert!(matches!(*asks, [Question::Events { .. }, Question::All]), "{asks:?}");
}

#[test]
fn a_stream_that_is_cut_behind_a_standstill_has_lived_all_the_same() {
    let mut scene = Scene::live(settings(), &[]);
    scene.wait(milliseconds(20_000));
    scene.now += milliseconds(2000);
    scene.engine.stood_still(milliseconds(2000), scene.now);
    // Docker drops who does not read.
    scene.cut();
    assert!(matches!(scene.asks_one().1, Question::Events { .. }), "it is opened again at once");
}

#[test]
fn a_death_stands_as_long_after_a_standstill_of_docker_too() {
    let mut scene = Scene::live(Settings { resync: Duration::from_hours(1), ..settings() }, &[container(State::Running)]);
    scene.tells(What::Died(137));
    scene.now += milliseconds(20_000);
    scene.engine.stood_still(milliseconds(20_000), scene.now);
    for looks in crate::limits::LOOKS.map(|look| look < crate::limits::DEATH_STANDS) {
        let until = scene.engine.next_deadline(scene.now).unwrap();
        scene.now = until;
        scene.engine.due(until);
        let (few, question) = scene.asks_one();
        assert_eq!(question, Question::About(vec!["a".into()]));
        scene.says(few, vec![container(State::Running)]);
        assert_eq!(scene.verdict(), if looks { "exited" } else { "up" });
    }
}

#[test]
fn how_young_a_container_is_does_not_depend_on_dockers_clock() {
    let mut scene = Scene::live(Settings { min_uptime: milliseconds(3000), ..settings() }, &[container(State::Running)]);
    scene.wait(milliseconds(20_000));
    scene.tells(What::Died(1));
    scene.was_started(milliseconds(15_000));
    let (few, _) = scene.asks_one();
    scene.says(few, vec![container(State::Running)]);
    assert_eq!(scene.verdict(), "starting");
    scene.wait(milliseconds(3000));
    assert_eq!(scene.verdict(), "up");
}

#[test]
fn a_start_that_was_held_back_may_be_older_than_what_is_known() {
    let mut scene = Scene::live(settings(), &[container(State::Running)]);
    scene.wait(settings().resync);
    let (all, _) = scene.asks_one();
    scene.says(all, vec![container(State::Exited)]);
    scene.wait(milliseconds(10_000));
    // Of before that list; the death behind it has not come yet.
    scene.was_started(milliseconds(20_000));
    assert_eq!(scene.verdict(), "starting");
    let (few, _) = scene.asks_one();
    scene.says(few, vec![container(State::Exited)]);
    assert_eq!(scene.verdict(), "exited");
}

#[test]
fn what_takes_a_containers_place_between_two_lists_is_checked_anew() {
    // Whether what was there has gone, or is still listed, and down; or is still up, and decides nothing.
    for (before, want) in
        [(None, "checking"), (Some(State::Exited), "checking"), (Some(State::Paused), "checking"), (Some(State::Running), "up")]
    {
        let mut scene = Scene::live(Settings { check: Some(checks()), ..settings() }, &[container(State::Running)]);
        scene.probe("app");
        let actions = scene.actions();
        let [Action::Check(flight, _)] = *actions else { panic!("{actions:?}") };
        scene.engine.check_told(flight, 200, scene.now);
        scene.engine.check_said(flight, Ok(()), scene.now);
        scene.wait(settings().resync.saturating_sub(milliseconds(1)));
        scene.actions();
        scene.wait(milliseconds(1));
        let asks = scene.asks();
        let (all, _) = *asks.iter().find(|(_, question)| *question == Question::All).unwrap();
        let listed = [named("b", "app-2", State::Running)].into_iter().chain(before.map(container)).collect();
        scene.says(all, listed);
        let app = AppName::parse(b"app").unwrap();
        let answer = scene.engine.verdict(&app).map(|verdict| verdict.answer.clone());
        let is = match answer {
            Some(Answer::Up(_)) => "up",
            Some(Answer::Checking(_)) => "checking",
            other => panic!("{other:?}"),
        };
        assert_eq!(is, want, "{before:?}");
    }
}
