//! What the engine does, and whether that keeps its promises.

use super::*;

impl World<'_> {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Answer(ticket, answer) => self.told(ticket, &answer, false),
            Action::Verdict(ticket, app, stale) => {
                let answer =
                    self.engine.verdict(&app).map_or(Answer::NoContainer { app, expected: false }, |verdict| verdict.answer.clone());
                self.told(ticket, &answer, stale);
            }
            Action::Ask(flight, question, version) => {
                assert!(self.rest.is_none_or(|rest| rest <= self.now), "Docker is not left alone after it was found gone");
                if let Question::Events { since: Some(since) } = question {
                    assert!(since <= self.unix(), "events would be missed");
                }
                let about = if let Question::About(ids) = &question { Some(ids.as_slice()) } else { None };
                self.order += 1;
                let asked = Asked {
                    flight,
                    at: self.now,
                    stood: Duration::ZERO,
                    order: self.order,
                    versioned: version.is_some(),
                    then: self.list(about),
                    question,
                };
                if self.mood == Mood::Gone {
                    self.say(&asked, Err(Fault::Lost(Lost::NoSocket)));
                } else {
                    self.asked.push(asked);
                }
            }
            Action::Check(flight, app) => {
                let at = (0..APPS.len()).find(|&at| name(at) == app).expect("another app is checked");
                let told = self.engine.verdict(&app).map(|verdict| &verdict.answer);
                assert!(matches!(told, Some(Answer::Up(_) | Answer::Checking(_) | Answer::CheckFailed(_))), "checked while {told:?}");
                assert_eq!(self.checked[at].flight.replace(flight), None, "two checks of one app at once");
            }
            Action::Forget(flight) if self.checked.iter().any(|checked| checked.flight == Some(flight)) => {
                let Some(checked) = self.checked.iter_mut().find(|checked| checked.flight == Some(flight)) else { return };
                checked.flight = None;
                // It was late, unless its app is down; a hung app is one that fails.
                checked.results.push_front(false);
                self.given_up.push(flight);
                self.forget_results();
            }
            Action::Forget(flight) => {
                if self.full.contains(&flight) {
                    return self.found_gone(&Fault::Lost(Lost::Full));
                }
                // A check may have ended before it was forgotten.
                let Some(at) = self.asked.iter().position(|asked| asked.flight == flight) else { return };
                let asked = self.asked.remove(at);
                if !matches!(asked.question, Question::Events { .. }) {
                    self.found_gone(&Fault::Late);
                }
                self.forgotten.push(asked);
            }
            Action::Apps(ticket, _) => self.surveyed(ticket),
            Action::Metrics(_) => panic!("nobody asked for them"),
            Action::DockerFound => assert_eq!(self.gone_since, None),
            Action::DockerLost(_) => assert!(self.gone_since.is_some()),
            Action::Live => assert!(self.stream.is_some(), "live without a stream"),
            Action::Blind(_) | Action::Late(_) | Action::Turned(..) | Action::Checked(..) => {}
        }
    }

    pub(super) fn told(&mut self, ticket: Ticket, answer: &Answer, stale: bool) {
        let at = self.probes.iter().position(|probe| probe.ticket == ticket);
        let probe = self.probes.remove(at.expect("an answer to nobody, or a second one"));
        let due = self.now == probe.began() + TIMEOUT;
        assert!(self.now <= probe.began() + self.patience(), "late");
        self.answers += 1;
        let is_drained = self.is_drained(APPS[probe.app]) || self.is_drained("all");
        assert_eq!(is_drained, matches!(answer, Answer::Drained(_)), "{answer:?}");
        if is_drained {
            return;
        }
        let trust = self.engine.trust(self.now);
        // Who may not wait any longer is told what is known before Docker is found gone.
        let in_grace = trust == Trust::Stale || due && stale && matches!(trust, Trust::Live | Trust::Blind);
        // Who waited for a check had its facts before Docker was reached again.
        let in_grace = in_grace || stale && trust == Trust::Blind && !self.checked.is_empty();
        assert_eq!(stale, in_grace && !matches!(answer, Answer::Unknown(_)), "{answer:?}");
        let is_known = !matches!(answer, Answer::Unknown(_));
        if let Some((until, time)) = self.stood.filter(|(until, _)| is_known && probe.came >= *until) {
            assert!(stale && time < GRACE, "told {answer:?}, older than a standstill of {time:?} until {:?} ago", self.now - until);
        }
        match answer {
            Answer::Unknown(Fault::Late) if due && !self.engine.has_facts => {}
            Answer::Unknown(_) => assert!(trust == Trust::Down, "what is known is not told: {answer:?} while {trust:?}"),
            Answer::Checking(_) => {
                // An app that goes down and comes up within one turn ends the wait too.
                let turmoil = self.last_line == Some(self.now);
                assert!(turmoil || self.now >= probe.began() + CHECK_TIMEOUT, "a first probe does not wait for its check");
            }
            Answer::CheckFailed(failed) => {
                let checked = &self.checked[probe.app];
                assert_eq!(failed.app, name(probe.app));
                assert!(checked.results.contains(&false) && !checked.all(RISE, true), "told down against {checked:?}");
            }
            Answer::Up(shown) => {
                if let Some(checked) = self.checked.get(probe.app) {
                    assert!(checked.results.contains(&true) && !checked.all(FALL, false), "told up against {checked:?}");
                }
                assert!(name(probe.app).number_in(&shown.name).is_some(), "another app's container");
                self.not_contradicted(&shown.container);
                // After `unpause` it is the lists that lie.
                let resumed = self.read.get(shown.container.parts().id).is_some_and(|read| read.what == What::Unpaused);
                // One that waits for a check may have had its facts before the view went blind.
                let had_facts = !self.checked.is_empty() && probe.trust != Trust::Blind;
                if trust == Trust::Blind && !stale && !resumed && !had_facts {
                    self.was_listed(&probe, |own| {
                        own.iter().any(|container| container.parts().id == shown.container.parts().id && container.state == State::Running)
                    });
                }
            }
            Answer::Down(_, shown) => {
                assert!(name(probe.app).number_in(&shown.name).is_some(), "another app's container");
            }
            Answer::NoContainer { app, .. } => {
                assert_eq!(app.as_str(), APPS[probe.app]);
                if trust == Trust::Blind && !stale && self.read.is_empty() {
                    self.was_listed(&probe, <[Container]>::is_empty);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whoever is told "up" is told so by facts that no event read before contradicts, until lists may.
    pub(super) fn not_contradicted(&self, container: &Container) {
        let Some(read) = self.read.get(container.parts().id) else { return };
        let stands = match read.what {
            What::Died(_) | What::Removed => limits::DEATH_STANDS,
            What::Paused => limits::CHANGE_STANDS,
            _ => return,
        };
        let overtaken = self.now >= read.at + stands || self.comebacks != read.comebacks;
        assert!(overtaken, "told up, though {read:?} was read {:?} ago", self.now - read.at);
    }

    /// While blind: the list said so at some moment after the probe came.
    pub(super) fn was_listed(&self, probe: &Probe, so: impl Fn(&[Container]) -> bool) {
        let history = &self.history[probe.app];
        let mut since = history.iter().rev();
        let listed = since.by_ref().take_while(|(at, _)| *at >= probe.came).any(|(_, own)| so(own));
        let before = history.iter().rev().find(|(at, _)| *at < probe.came).is_none_or(|(_, own)| so(own));
        assert!(listed || before, "told from a list that was asked for before the probe came");
    }

    /// How each app is listed, whenever that changes.
    pub(super) fn remember(&mut self) {
        let all = self.list(None);
        for (app, history) in self.history.iter_mut().enumerate() {
            let own: Vec<_> = all.iter().filter(|container| name(app).number_in(container.parts().names).is_some()).cloned().collect();
            if history.back().is_none_or(|(_, last)| *last != own) {
                history.push_back((self.now, own));
            }
            // Nobody waits longer than this.
            while history.len() > 1 && history[1].0 + 2 * TIMEOUT < self.now {
                history.pop_front();
            }
        }
    }

    /// What holds after every turn, besides what is checked of each answer.
    pub(super) fn check(&self) {
        let questions = |so: fn(&Question) -> bool| self.asked.iter().filter(|asked| so(&asked.question)).count();
        assert!(questions(|question| *question == Question::All) <= 1, "more than one list on the wire");
        assert!(questions(|question| matches!(question, Question::About(_))) <= 1, "more than one question about some");
        let streams = questions(|question| matches!(question, Question::Events { .. }));
        assert!(streams + usize::from(self.stream.is_some()) <= 1, "more than one stream");
        let deadline = self.engine.next_deadline(self.now).expect("the engine always has something due");
        assert!(deadline > self.now, "the loop would spin");
        for asked in &self.asked {
            assert!(self.now < asked.at + asked.stood + limits::LONGEST_LIST, "a question without an end");
        }
        for probe in &self.probes {
            assert!(self.now < probe.began() + self.patience(), "a probe is forgotten");
            assert!(deadline <= probe.began() + self.patience(), "the loop would sleep over a probe");
        }
        if self.asked.is_empty() {
            let rest = self.engine.settings.resync.max(limits::LONGEST_LIST * limits::LIST_REST);
            assert!(deadline <= self.now + rest, "Docker would never be asked again");
        }
    }
}
