//! The Docker of this world, and the apps that are checked: late, wrong, and silent.

use super::*;

impl World<'_> {
    pub(super) fn list(&self, about: Option<&[Box<str>]>) -> Vec<Container> {
        let wanted = |truth: &&Truth| about.is_none_or(|ids| ids.contains(&truth.id));
        self.containers.iter().filter(wanted).map(|truth| truth.listed(self.now)).collect()
    }

    pub(super) fn docker_answers(&mut self) {
        if self.mood != Mood::Well || self.asked.is_empty() {
            return;
        }
        let which = self.dice.throw(self.asked.len() as u64) as usize;
        self.answer(which);
    }

    pub(super) fn answer(&mut self, which: usize) {
        let asked = self.asked.remove(which);
        if self.demands && !asked.versioned {
            return self.say(&asked, Err(wants_version()));
        }
        let about = match &asked.question {
            Question::Events { since } => return self.open_stream(asked.flight, *since),
            Question::About(ids) => Some(ids.as_slice()),
            Question::All | Question::Ailing => None,
        };
        // Docker looks at some moment between question and answer.
        let mut containers = if self.dice.throw(2) == 0 { asked.then.clone() } else { self.list(about) };
        let is_silent_on_health = self.podman.is_some() && asked.question != Question::Ailing;
        if asked.question == Question::Ailing {
            containers.retain(|container| matches!(container.health, Health::Starting | Health::Unhealthy));
        }
        if self.podman.is_some() {
            for container in &mut containers {
                container.health = Health::None;
            }
        }
        self.say(&asked, Ok(Listed { containers, podman: self.podman, is_silent_on_health }));
    }

    pub(super) fn open_stream(&mut self, flight: FlightId, since: Option<u64>) {
        self.stream = Some(flight);
        assert_eq!(since.is_none(), self.podman.is_some());
        let since = since.unwrap_or(u64::MAX);
        self.queue = self.ring.iter().filter(|event| event.at >= since).map(|event| (event.clone(), self.now)).collect();
        self.engine.docker_told(flight, &Told::Opened, self.now);
    }

    pub(super) fn events_arrive(&mut self) {
        if self.mood != Mood::Well {
            return;
        }
        let Some(flight) = self.stream else { return };
        while let Some((event, _)) = self.queue.pop_front_if(|(_, at)| *at <= self.now) {
            let line = if self.dice.throw(64) == 63 && !self.loses_nothing() { Line::TooLong } else { Line::Event(event.clone()) };
            let news = line != Line::TooLong && self.seen.insert((event.id.clone(), event.what, event.at));
            if news && !matches!(event.what, What::Renamed | What::Health(_) | What::CheckEnded | What::Created) {
                self.order += 1;
                let read = Read { what: event.what, at: self.now, comebacks: self.comebacks, order: self.order, agreed: None };
                self.read.insert(event.id, read);
            }
            self.engine.docker_told(flight, &Told::Line(line), self.now);
            self.last_line = Some(self.now);
            self.forget_results();
        }
    }

    pub(super) fn docker_fails(&mut self) {
        if self.asked.is_empty() && self.stream.is_none() {
            return;
        }
        let which = self.dice.throw(self.asked.len() as u64 + 1) as usize;
        if which == self.asked.len() {
            return self.cut_stream();
        }
        let faults = [
            Fault::Lost(Lost::Reset),
            Fault::Broken(Broken::CutShort),
            Fault::NotAList,
            Fault::Status(500, "no".into()),
            Fault::Lost(Lost::Full),
            Fault::Lost(Lost::Refused),
            Fault::Lost(Lost::Denied),
        ];
        let fault = faults[self.dice.throw(faults.len() as u64) as usize].clone();
        let asked = self.asked.remove(which);
        self.say(&asked, Err(fault));
    }

    pub(super) fn cut_stream(&mut self) {
        if let Some(flight) = self.stream.take() {
            self.queue.clear();
            self.engine.docker_said(flight, Err(Fault::Broken(Broken::CutShort)), self.now);
        }
    }

    pub(super) fn say(&mut self, asked: &Asked, outcome: Result<Listed, Fault>) {
        let is_stream = matches!(asked.question, Question::Events { .. });
        match &outcome {
            Ok(listed) => {
                (self.rest, self.gone_since) = (None, None);
                let is_another = std::mem::take(&mut self.refused) && self.stream.is_none();
                self.comebacks += u32::from(is_another);
                if asked.question != Question::Ailing {
                    self.agree(asked, &listed.containers);
                }
                // Of an old Podman's list the answer to a second question is the end.
                if matches!(asked.question, Question::All | Question::Ailing) {
                    self.stood.take_if(|(until, _)| asked.at >= *until);
                }
            }
            // It is tried again, and given up when its time is over.
            Err(Fault::Lost(Lost::Full)) => self.full.push(asked.flight),
            // It is repeated at once, whatever else has failed: Docker has just spoken.
            Err(Fault::WantsVersion(_)) => self.rest = None,
            Err(fault) if !is_stream || fault.is_refusal() => self.found_gone(fault),
            Err(_) => {}
        }
        self.engine.docker_said(asked.flight, outcome, self.now);
        self.forget_results();
    }

    /// A list that was asked for after a death was read, and shows it, has agreed: what lists say that are asked for later is newer. One that
    /// was asked for before may still be on its way.
    pub(super) fn agree(&mut self, asked: &Asked, containers: &[Container]) {
        let is_older = |other: &Asked| other.order < asked.order && !matches!(other.question, Question::Events { .. });
        let may_contradict = self.asked.iter().any(is_older);
        self.read.retain(|id, read| {
            let about = if let Question::About(ids) = &asked.question { ids.contains(id) } else { true };
            if about && read.agreed.is_some_and(|agreed| asked.order > agreed) {
                return false;
            }
            let listed = containers.iter().find(|container| container.parts().id == &**id).map(|container| container.state);
            let dead = !matches!(listed, Some(State::Running | State::Paused));
            let agrees = about && asked.order > read.order && if read.what == What::Paused { listed != Some(State::Running) } else { dead };
            if agrees && may_contradict {
                read.agreed.get_or_insert(asked.order);
            }
            may_contradict || !agrees
        });
    }

    pub(super) fn found_gone(&mut self, fault: &Fault) {
        let pause = if fault.is_refusal() { limits::REFUSED_PAUSE } else { limits::FIRST_PAUSE * 3 / 4 };
        self.rest = Some(self.now + pause);
        self.gone_since.get_or_insert(self.now);
        self.refused |= matches!(fault, Fault::Lost(Lost::NoSocket | Lost::Refused));
    }

    pub(super) fn mood_swings(&mut self) {
        let next = [Mood::Well, Mood::Hangs, Mood::Gone][self.dice.throw(3) as usize];
        self.take_mood(next);
    }

    pub(super) fn take_mood(&mut self, next: Mood) {
        if next == Mood::Gone && self.mood != Mood::Gone {
            self.cut_stream();
            for asked in std::mem::take(&mut self.asked) {
                self.say(&asked, Err(Fault::Lost(Lost::Reset)));
            }
        }
        if self.mood == Mood::Gone && next != Mood::Gone {
            self.ring.clear();
            // Without live-restore the containers have died with it, and nobody says so.
            if self.dice.throw(2) == 0 {
                for truth in &mut self.containers {
                    if truth.life == State::Running || truth.life == State::Paused {
                        truth.life = State::Exited;
                    }
                }
            }
            self.containers.iter_mut().for_each(|truth| truth.lie = None);
            // Podman takes any version.
            self.demands = self.podman.is_none() && self.dice.throw(4) == 0;
        }
        self.mood = next;
    }

    /// It must change nothing, whatever it says.
    pub(super) fn a_late_answer_comes(&mut self) {
        if self.forgotten.is_empty() {
            return;
        }
        let which = self.dice.throw(self.forgotten.len() as u64) as usize;
        let asked = self.forgotten.swap_remove(which);
        if self.dice.throw(2) == 0 {
            self.engine.docker_said(asked.flight, Ok(Listed::default()), self.now);
        } else {
            self.engine.docker_told(asked.flight, &Told::Opened, self.now);
        }
        while let Some(action) = self.engine.next_action(self.now) {
            assert!(!matches!(action, Action::DockerFound | Action::DockerLost(_) | Action::Live), "a late answer is believed");
            self.act(action);
        }
    }

    // ---- Apps that are checked.

    pub(super) fn a_check_goes_on(&mut self) {
        if self.checked.is_empty() {
            return;
        }
        let app = self.dice.throw(APPS.len() as u64) as usize;
        match self.dice.throw(8) {
            0 => self.checked[app].fails ^= true,
            1 => self.engine.asked_about_all(self.now),
            2 if !self.given_up.is_empty() => {
                let flight = self.given_up.swap_remove(0);
                self.engine.check_told(flight, 502, self.now);
                self.engine.check_said(flight, Ok(()), self.now);
            }
            3 => self.end_check(app, Some(Err(CheckFault::Lost(Lost::Ours(24))))),
            4 => self.end_check(app, Some(Err(CheckFault::Closed))),
            _ => self.end_check(app, None),
        }
    }

    /// A check ends with that fault, or with the status that the app has to give.
    pub(super) fn end_check(&mut self, app: usize, fault: Option<Result<(), CheckFault>>) {
        let checked = &mut self.checked[app];
        let Some(flight) = checked.flight.take() else { return };
        match fault {
            Some(Err(CheckFault::Lost(Lost::Ours(_)))) => {}
            Some(_) => checked.results.push_front(false),
            None => {
                checked.results.push_front(!checked.fails);
                let status = if checked.fails { 503 } else { 404 };
                self.engine.check_told(flight, status, self.now);
            }
        }
        // However the body ends.
        self.engine.check_said(flight, fault.unwrap_or(Err(CheckFault::Lost(Lost::Reset))), self.now);
    }

    /// Whoever is down by what the containers say begins anew.
    pub(super) fn forget_results(&mut self) {
        for (app, checked) in self.checked.iter_mut().enumerate() {
            let told = self.engine.verdict(&name(app)).map(|verdict| &verdict.answer);
            if !matches!(told, Some(Answer::Up(_) | Answer::Checking(_) | Answer::CheckFailed(_))) {
                checked.results.clear();
            }
        }
    }

    pub(super) fn patience(&self) -> Duration {
        if self.checked.is_empty() { TIMEOUT } else { TIMEOUT + CHECK_TIMEOUT }
    }
}
