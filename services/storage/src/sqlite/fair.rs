//! A bounded queue that is fair between those who send.

use std::collections::{HashMap, VecDeque};

/// Items in lanes, one lane a sender. The lanes are emptied in turns, and where there is no room it is taken from the longest lane, so that one
/// sender's flood does not keep another's alerts out.
#[derive(Debug)]
pub(crate) struct Fair<T> {
    lanes: HashMap<String, Lane<T>>,
    /// Lanes that hold something, the next one first.
    turns: VecDeque<String>,
    weight: usize,
    most: usize,
}

#[derive(Debug)]
struct Lane<T> {
    items: VecDeque<(usize, T)>,
    weight: usize,
}

/// What became of an item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed<T> {
    /// It waits; these had to leave for it.
    Waits(Vec<T>),
    /// There is no room for it.
    Refused(T),
}

impl<T> Fair<T> {
    /// A queue for items of together at most this weight; a single heavier one still fits where nothing else waits.
    pub(crate) fn new(most: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), weight: 0, most: most.max(1) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds an item of a sender.
    pub(crate) fn push(&mut self, sender: &str, weight: usize, item: T) -> Pushed<T> {
        let own = self.lanes.get(sender).map_or(0, |lane| lane.weight);
        let mut left = Vec::new();
        while self.weight > 0 && self.weight + weight > self.most {
            match self.shorten(own + weight) {
                Some(item) => left.push(item),
                None if left.is_empty() => return Pushed::Refused(item),
                // What left was not enough; it has left in vain, but whoever sent it has more waiting than this sender.
                None => return Pushed::Waits(std::iter::once(item).chain(left).collect()),
            }
        }
        if self.lanes.get(sender).is_none_or(|lane| lane.items.is_empty()) {
            self.turns.push_back(sender.to_owned());
        }
        let lane = self.lanes.entry(sender.to_owned()).or_insert_with(|| Lane { items: VecDeque::new(), weight: 0 });
        lane.items.push_back((weight, item));
        lane.weight += weight;
        self.weight += weight;
        Pushed::Waits(left)
    }

    /// Takes the newest item of the longest lane away, if that lane stays at least as long as `own`.
    fn shorten(&mut self, own: usize) -> Option<T> {
        let (name, lane) = self.lanes.iter_mut().max_by_key(|(_, lane)| lane.weight)?;
        let weight = lane.items.back()?.0;
        if lane.weight < own + weight {
            return None;
        }
        let (weight, item) = lane.items.pop_back()?;
        lane.weight -= weight;
        self.weight -= weight;
        if lane.items.is_empty() {
            let name = name.clone();
            self.turns.retain(|turn| *turn != name);
            self.lanes.remove(&name);
        }
        Some(item)
    }

    /// Takes items of together at least this weight, or all there are: one of each lane, in turns.
    pub(crate) fn take(&mut self, enough: usize) -> Vec<T> {
        let (mut taken, mut weight) = (Vec::new(), 0);
        while weight < enough.max(1)
            && let Some(name) = self.turns.pop_front()
        {
            let Some(lane) = self.lanes.get_mut(&name) else { continue };
            if let Some((heavy, item)) = lane.items.pop_front() {
                lane.weight -= heavy;
                self.weight -= heavy;
                weight += heavy;
                taken.push(item);
            }
            if lane.items.is_empty() {
                self.lanes.remove(&name);
            } else {
                self.turns.push_back(name);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_take_turns_however_much_one_of_them_sends() {
        let mut queue = Fair::new(100);
        for n in 0..10 {
            queue.push("loud", 1, format!("loud-{n}"));
        }
        queue.push("calm", 1, "calm-0".to_owned());
        queue.push("calm", 1, "calm-1".to_owned());
        assert_eq!(queue.take(4), ["loud-0", "calm-0", "loud-1", "calm-1"]);
        assert_eq!(queue.take(100).len(), 8);
        assert!(queue.is_empty() && queue.weight == 0 && queue.lanes.is_empty());
    }

    #[test]
    fn a_full_queue_refuses_the_loud_and_makes_room_for_the_calm() {
        let mut queue = Fair::new(4);
        for n in 0..4 {
            assert_eq!(queue.push("loud", 1, n), Pushed::Waits(vec![]));
        }
        assert_eq!(queue.push("loud", 1, 9), Pushed::Refused(9), "a sender does not push out its own");
        assert_eq!(queue.push("calm", 1, 20), Pushed::Waits(vec![3]), "the newest of the longest lane leaves");
        assert_eq!(queue.push("calm", 1, 21), Pushed::Waits(vec![2]));
        assert_eq!(queue.push("calm", 1, 22), Pushed::Refused(22), "nobody gets more than the others");
        assert_eq!(queue.weight, 4);
        assert_eq!(queue.take(9), [0, 20, 1, 21]);
    }

    #[test]
    fn what_is_larger_than_the_queue_fits_an_empty_one() {
        let mut queue = Fair::new(4);
        assert_eq!(queue.push("a", 50, 1), Pushed::Waits(vec![]));
        assert_eq!(queue.push("b", 1, 2), Pushed::Refused(2));
        assert_eq!(queue.take(1), [1]);
    }
}
