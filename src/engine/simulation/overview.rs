//! All apps at once, and those who wait for a change of that.

use super::*;

impl World<'_> {
    /// An answer about all apps.
    pub(super) fn surveyed(&mut self, ticket: Ticket) {
        let at = self.surveys.iter().position(|survey| survey.ticket == ticket);
        let Survey { query, came, stood, .. } = self.surveys.remove(at.expect("an answer to nobody, or a second one"));
        let waited = self.now - came;
        assert!(waited <= TIMEOUT + query.wait + stood, "late");
        self.answers += 1;
        // Whoever waits for another state is told the same only once their time is over. Docker may have had its part of that time.
        if query.index == Some(self.engine.index()) && waited < query.wait {
            self.early += 1;
            assert!(self.early <= self.engine.counts().watchers_early, "woken for nothing");
        }
    }

    /// After each turn.
    pub(super) fn check_overview(&mut self) {
        let (index, trust) = (self.engine.index(), self.engine.trust(self.now));
        let rows: Vec<(String, Row)> = self.engine.rows().into_iter().map(|(name, standing)| (name.to_owned(), standing.row)).collect();
        let is_same = self.overview.1 == trust && self.overview.2 == rows;
        // Within one turn a check can end and its app be forgotten: two changes that leave all as it was, where one would be a lie.
        let is_undone = !self.checked.is_empty() && index > self.overview.0 + 1;
        if !is_same || !is_undone {
            assert_eq!(self.overview.0 == index, is_same, "{:?} and then {:?}", self.overview, (index, trust, &rows));
        }
        self.overview = (index, trust, rows.clone());
        for survey in &self.surveys {
            assert!(self.now < survey.came + TIMEOUT + survey.query.wait + survey.stood, "a survey is forgotten");
        }
        // The end of a drain is told of once the folder has been looked at again.
        let ends = self.drains.values().flatten().any(|until| self.unix() >= until * 1_000_000_000);
        if trust == Trust::Down || ends {
            return;
        }
        for (own, row) in rows {
            let app = AppName::parse(own.as_bytes()).unwrap();
            let is_drained = self.is_drained(&own) || self.is_drained("all");
            let is_up = matches!(self.engine.verdict(&app).map(|verdict| &verdict.answer), Some(Answer::Up(_)));
            assert_eq!(row.fault.is_none(), is_up && !is_drained, "{own}: {row:?}");
        }
    }
}
