//! How much may be kept.

/// Objects and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) objects: usize,
    pub(super) bytes: usize,
}

impl Amount {
    pub(super) fn one(bytes: usize) -> Self {
        Self { objects: 1, bytes }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.objects = self.objects.saturating_add(more.objects);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    pub(super) fn take(&mut self, less: Self) {
        self.objects = self.objects.saturating_sub(less.objects);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// It does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// What all kinds together hold, and the most they may.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Amount,
    used: Amount,
}

impl Budget {
    pub(super) fn new(limit: Amount) -> Self {
        Self { limit, used: Amount::default() }
    }

    /// Whether that much more would fit.
    pub(super) fn has_room_for(&self, more: Amount) -> bool {
        let mut sum = self.used;
        sum.add(more);
        sum.objects <= self.limit.objects && sum.bytes <= self.limit.bytes
    }

    /// Puts `new` in the place of `old`; changes nothing if it does not fit.
    pub(super) fn exchange(&mut self, old: Amount, new: Amount) -> Result<(), Full> {
        let before = self.used;
        self.used.take(old);
        if self.has_room_for(new) {
            self.used.add(new);
            return Ok(());
        }
        self.used = before;
        Err(Full)
    }

    pub(super) fn release(&mut self, amount: Amount) {
        self.used.take(amount);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> Amount {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_counts_what_it_replaces_and_a_refused_one_changes_nothing() {
        let mut budget = Budget::new(Amount { objects: 2, bytes: 100 });
        budget.exchange(Amount::default(), Amount::one(60)).unwrap();
        assert_eq!(budget.exchange(Amount::default(), Amount::one(41)), Err(Full));
        assert_eq!(budget.used(), Amount { objects: 1, bytes: 60 });
        budget.exchange(Amount::one(60), Amount::one(100)).unwrap();
        assert_eq!(budget.exchange(Amount::default(), Amount::one(0)), Ok(()));
        assert_eq!(budget.exchange(Amount::default(), Amount::one(0)), Err(Full), "a third object");
        budget.release(Amount::one(100));
        assert_eq!(budget.used(), Amount { objects: 1, bytes: 0 });
    }
}
