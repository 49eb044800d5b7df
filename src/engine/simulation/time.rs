//! Time does not pass evenly: the process, or the machine, stands still, and clocks are set.

use super::*;

impl World<'_> {
    /// The process stands still while Docker and the containers go on. Then what has come is read, and whoever asks is answered, before
    /// the engine may do what is due.
    pub(super) fn stand_still(&mut self) {
        let longest = [3_000, 45_000, 90_000, 10_000_000][self.dice.throw(4) as usize];
        let time = Duration::from_millis(1000 + self.dice.throw(longest) / 2 * 2);
        self.now += time / 2;
        for _ in 0..self.dice.throw(6) {
            let which = self.dice.throw(8) as usize;
            match self.dice.throw(4) {
                0 if self.containers.len() < 7 => self.create(),
                1 => self.pause(which),
                2 => self.remove(which),
                _ => self.toggle(which),
            }
        }
        self.now += time / 2;
        // Of that much Docker has dropped some by then.
        let dropped = if time >= self.engine.settings.resync { self.dice.throw(4) as usize } else { 0 };
        self.queue.drain(..dropped.min(self.queue.len()));
        for probe in &mut self.probes {
            probe.stood += time;
        }
        for survey in &mut self.surveys {
            survey.stood += time;
        }
        for asked in &mut self.asked {
            asked.stood += time;
        }
        if time >= self.engine.settings.resync {
            self.stood = Some((self.now, time));
        }
        if time >= limits::ASKED_ABOUT {
            self.checked.iter_mut().for_each(|checked| checked.results.clear());
        }
        self.engine.stood_still(time, self.now);
        for _ in 0..self.dice.throw(6) {
            match self.dice.throw(6) {
                0 => self.events_arrive(),
                1 => self.docker_answers(),
                2 => self.docker_fails(),
                3 => self.a_check_goes_on(),
                _ => self.probe_any(),
            }
            self.act_on_all();
        }
    }

    /// Somebody sets the clock, which Docker has too: by seconds, hours, or from 1970 to this day and back.
    pub(super) fn set_clock(&mut self) {
        let farthest = [5, 10_000, 50 * 365 * 86_400][self.dice.throw(3) as usize];
        // The last digits are another each time, or two events could be of the same nanosecond.
        self.made += 1;
        if self.loses_nothing() {
            return;
        }
        let by = self.dice.throw(farthest) * 1_000_000_000 + self.made;
        self.epoch = if self.dice.throw(2) == 0 { self.epoch.saturating_sub(by) } else { self.epoch.saturating_add(by).min(2 * EPOCH) };
        self.engine.clock_is(Duration::from_nanos(self.unix()), self.now);
        // A second later at the latest.
        self.look_at_drains();
    }
}
