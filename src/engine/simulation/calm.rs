//! The world is calm: what is then told has to be true.

use super::*;

impl World<'_> {
    /// Nothing new happens, and Docker is quick: what is then told has to be true.
    pub(super) fn calm_down(&mut self) {
        self.take_mood(Mood::Well);
        let (until, lists) = (self.now + CALM, self.engine.counts().lists);
        // A list that took long makes the next one wait.
        let wanted = if self.loses_nothing() { lists } else { lists + 2 };
        while self.now < until || self.engine.counts().lists < wanted {
            self.serve();
            self.wait(Duration::from_millis(970));
            self.turn();
        }
        assert_eq!(self.engine.trust(self.now), Trust::Live, "calm, and not live");
        for app in 0..APPS.len() {
            self.expect_truth(app);
        }
        self.a_check_is_told_of_once_it_has_run();
        self.checks_tell_the_truth();
        self.a_death_and_a_start_are_told_at_once();
        self.a_new_container_is_told_of_once_it_is_asked_about();
        self.probes.clear();
    }

    /// Docker does all that it was asked to.
    pub(super) fn serve(&mut self) {
        loop {
            self.turn();
            self.events_arrive();
            self.turn();
            for app in 0..self.checked.len() {
                self.end_check(app, None);
                self.turn();
            }
            if self.asked.is_empty() && self.checked.iter().all(|checked| checked.flight.is_none()) {
                return self.turn();
            }
            if !self.asked.is_empty() {
                self.answer(0);
            }
        }
    }

    pub(super) fn expect_truth(&mut self, app: usize) {
        let own: Vec<&Truth> = self.containers.iter().filter(|truth| name(app).number_in(&truth.name).is_some()).collect();
        let serving = own.iter().filter(|truth| truth.serves()).max_by_key(|truth| truth.created).map(|truth| &truth.id);
        let (up, none) = (serving.is_some(), own.is_empty());
        let trust = self.engine.trust(self.now);
        let told = self.engine.view.verdict(&name(app)).map(|verdict| verdict.answer.clone());
        let is_right = match &told {
            None | Some(Answer::NoContainer { .. }) => none,
            Some(Answer::Up(shown)) => serving.map(|id| &**id) == Some(shown.container.parts().id),
            Some(Answer::Down(..)) => !up && !none,
            Some(_) => false,
        };
        assert!(is_right, "{trust:?}, {}: told {told:?}, but {own:?}", APPS[app]);
    }

    /// Not only once the next one has, which is when the events of an old Podman have the word for it; and it is asked about no more
    /// than it runs.
    pub(super) fn a_check_is_told_of_once_it_has_run(&mut self) {
        let runs = |truth: &Truth| truth.life == State::Running && truth.health.is_some();
        let Some(which) = self.containers.iter().position(runs) else { return };
        let Truth { id, name: own, .. } = self.containers[which].clone();
        let app = (0..APPS.len()).find(|&app| name(app).number_in(&own).is_some()).unwrap();
        for outcome in [Health::Unhealthy, Health::Healthy, Health::Healthy, Health::Unhealthy, Health::Unhealthy, Health::Healthy] {
            self.serve();
            let counts = *self.engine.counts();
            let (flight, before) = (self.stream.unwrap(), self.containers[which].health.unwrap());
            let tell = |world: &mut Self, what| {
                world.wait(Duration::from_millis(1));
                let event = Event { id: id.clone(), name: own.as_str().into(), what, at: world.unix(), ..Event::default() };
                world.engine.docker_told(flight, &Told::Line(Line::Event(event)), world.now);
                world.serve();
            };
            if self.podman.is_some() {
                tell(self, What::Health(before));
                self.wait(Duration::from_millis(700));
                tell(self, What::CheckEnded);
                self.wait(limits::CHECK_SETTLES / 2);
                self.serve();
                self.expect_truth(app);
                self.containers[which].health = Some(outcome);
                self.wait(limits::CHECK_SETTLES / 2);
                self.serve();
            } else {
                self.containers[which].health = Some(outcome);
                tell(self, What::Health(outcome));
            }
            self.expect_truth(app);
            // One question by id, and one who of all is ailing; a list of all needs one of those too.
            let lists = self.engine.counts().lists - counts.lists;
            let most = if self.podman.is_some() { 2 + lists } else { 0 };
            assert!(self.engine.counts().looks <= counts.looks + most, "asked about more than it is checked");
        }
    }

    pub(super) fn checks_tell_the_truth(&mut self) {
        for app in 0..APPS.len() {
            self.engine.asked_about(&name(app), self.now);
        }
        for _ in 0..8 {
            self.serve();
            self.wait(Duration::from_millis(970));
            self.turn();
        }
        for app in 0..self.checked.len() {
            self.expect_truth(app);
            let fails = self.checked[app].fails;
            match self.engine.verdict(&name(app)).map(|verdict| &verdict.answer) {
                Some(Answer::Up(_)) => assert!(!fails, "told up, and its checks fail"),
                Some(Answer::CheckFailed(_)) => assert!(fails, "told down, and its checks are good"),
                other => assert!(!matches!(other, Some(Answer::Checking(_))), "no check in all this time"),
            }
        }
    }

    pub(super) fn a_death_and_a_start_are_told_at_once(&mut self) {
        let Some(which) = self.containers.iter().position(|truth| truth.life == State::Running && truth.health.is_none()) else { return };
        let app =
            APPS.iter().position(|app| AppName::parse(app.as_bytes()).unwrap().number_in(&self.containers[which].name).is_some()).unwrap();
        let id = self.containers[which].id.clone();
        self.containers[which].life = State::Exited;
        self.containers[which].lie = Some((State::Running, self.now + Duration::from_secs(5)));
        self.queue.clear();
        let (flight, unix) = (self.stream.unwrap(), self.unix());
        let line = |what, at| Told::Line(Line::Event(Event { id: id.clone(), what, at, ..Event::default() }));
        self.engine.docker_told(flight, &line(What::Died(1), unix), self.now);
        for _ in 0..30 {
            self.serve();
            self.expect_down(app, &id);
            self.wait(Duration::from_millis(150));
        }
        self.containers[which].life = State::Running;
        self.containers[which].lie = None;
        self.engine.docker_told(flight, &line(What::Started, unix + 1), self.now);
        self.serve();
        self.expect_truth(app);
    }

    /// A redeploy: the old one serves on while the new one is made and started.
    pub(super) fn a_new_container_is_told_of_once_it_is_asked_about(&mut self) {
        self.create();
        let which = self.containers.len() - 1;
        let own = |app: &usize| name(*app).number_in(&self.containers[which].name).is_some();
        let apps: Vec<usize> = (0..APPS.len()).filter(own).collect();
        let flight = self.stream.unwrap();
        for what in [What::Created, What::Started] {
            if what == What::Started {
                self.toggle(which);
            }
            self.queue.clear();
            self.wait(Duration::from_millis(1));
            let Truth { id, name, .. } = self.containers[which].clone();
            let event = Event { id, name: name.into(), what, at: self.unix(), ..Event::default() };
            self.engine.docker_told(flight, &Told::Line(Line::Event(event)), self.now);
            // Somebody asks while the question is open.
            for &app in &apps {
                self.probe(app);
            }
            self.serve();
        }
        for &app in &apps {
            self.expect_truth(app);
        }
    }

    pub(super) fn expect_down(&mut self, app: usize, id: &str) {
        let told = self.engine.verdict(&name(app)).map(|verdict| verdict.answer.clone());
        let shown = if let Some(Answer::Up(shown)) = &told { Some(shown.container.parts().id) } else { None };
        assert_ne!(shown, Some(id), "told up from a list, after its death was read");
    }
}
