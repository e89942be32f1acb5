//! The vectors with their labels, as columns.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use kubernaut_core::{
    model::Timestamp,
    port::{VectorFilter, VectorHit, VectorItem},
};

use crate::dot::dot;

/// Numbers a row from the first one ever added; a replaced or deleted row keeps its number until the rows are copied.
pub(crate) type Slot = u32;

/// One label of all rows. Code 0 is "absent".
#[derive(Debug, Default)]
struct Column {
    codes: Vec<u32>,
    values: HashMap<String, u32>,
}

impl Column {
    fn set(&mut self, slot: usize, value: String) {
        let next = u32::try_from(self.values.len() + 1).unwrap_or(u32::MAX);
        let code = *self.values.entry(value).or_insert(next);
        self.codes.resize(slot + 1, 0);
        if let Some(cell) = self.codes.get_mut(slot) {
            *cell = code;
        }
    }

    fn get(&self, slot: usize) -> Option<&str> {
        let code = self.codes.get(slot).copied().filter(|code| *code != 0)?;
        self.values.iter().find(|(_, c)| **c == code).map(|(value, _)| value.as_str())
    }
}

/// All vectors of an index. Removed ones stay as dead rows, because a graph may still lead through them.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    slots: HashMap<Arc<str>, Slot>,
    names: Vec<Arc<str>>,
    vectors: Vec<Arc<[f32]>>,
    at: Vec<i64>,
    alive: Vec<bool>,
    columns: HashMap<String, Column>,
}

/// A filter in terms of columns.
pub(crate) struct Matcher<'r> {
    rows: &'r Rows,
    labels: Vec<(&'r Column, u32)>,
    since: i64,
    until: i64,
    impossible: bool,
}

impl Matcher<'_> {
    /// Whether a row may be found.
    pub(crate) fn admits(&self, slot: Slot) -> bool {
        let at = slot as usize;
        !self.impossible
            && self.rows.alive.get(at).copied().unwrap_or(false)
            && self.labels.iter().all(|(column, code)| column.codes.get(at) == Some(code))
            && self.rows.at.get(at).is_some_and(|t| (self.since..self.until).contains(t))
    }
}

impl Rows {
    pub(crate) fn from_items(items: Vec<VectorItem>) -> Self {
        let mut rows = Self::default();
        items.into_iter().for_each(|item| rows.put(item));
        rows
    }

    /// Rows, dead ones included.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Rows that can be found.
    pub(crate) fn live(&self) -> usize {
        self.slots.len()
    }

    /// Adds a row, whose vector has length 1; one of the same id dies.
    pub(crate) fn put(&mut self, item: VectorItem) {
        let id: Arc<str> = item.id.into();
        self.remove(&id);
        let slot = self.names.len();
        self.slots.insert(id.clone(), Slot::try_from(slot).unwrap_or(Slot::MAX));
        self.names.push(id);
        self.vectors.push(item.vector.into());
        self.at.push(item.at.as_microsecond());
        self.alive.push(true);
        for (key, value) in item.labels {
            self.columns.entry(key).or_default().set(slot, value);
        }
    }

    /// Whether there was such a row.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(slot) = self.slots.remove(id) else { return false };
        if let Some(alive) = self.alive.get_mut(slot as usize) {
            *alive = false;
        }
        true
    }

    /// The rows that live, numbered anew.
    pub(crate) fn copy_live(&self) -> Self {
        let live: Vec<usize> = self.iter_live().map(|slot| slot as usize).collect();
        let names: Vec<Arc<str>> = live.iter().filter_map(|slot| self.names.get(*slot).cloned()).collect();
        let column = |column: &Column| Column {
            codes: live.iter().map(|slot| column.codes.get(*slot).copied().unwrap_or(0)).collect(),
            values: column.values.clone(),
        };
        Self {
            slots: names.iter().cloned().zip(0..).collect(),
            vectors: live.iter().filter_map(|slot| self.vectors.get(*slot).cloned()).collect(),
            at: live.iter().filter_map(|slot| self.at.get(*slot).copied()).collect(),
            alive: vec![true; names.len()],
            columns: self.columns.iter().map(|(key, c)| (key.clone(), column(c))).collect(),
            names,
        }
    }

    /// Brings one id to how it stands in other rows.
    pub(crate) fn follow(&mut self, other: &Self, id: &str) {
        match other.item(id) {
            Some(item) => self.put(item),
            None => {
                self.remove(id);
            }
        }
    }

    fn item(&self, id: &str) -> Option<VectorItem> {
        let slot = *self.slots.get(id)? as usize;
        let labels = self.columns.iter().filter_map(|(key, column)| Some((key.clone(), column.get(slot)?.to_owned()))).collect();
        let at = Timestamp::from_microsecond(*self.at.get(slot)?).ok()?;
        Some(VectorItem { id: id.to_owned(), vector: self.vectors.get(slot)?.to_vec(), labels, at })
    }

    /// Numbers of rows that can be found.
    pub(crate) fn iter_live(&self) -> impl Iterator<Item = Slot> + '_ {
        self.alive.iter().zip(0..).filter(|(alive, _)| **alive).map(|(_, slot)| slot)
    }

    /// A row's vector.
    pub(crate) fn vector(&self, slot: Slot) -> Option<&Arc<[f32]>> {
        self.vectors.get(slot as usize)
    }

    /// The filter, read once for many rows.
    pub(crate) fn matcher(&self, filter: &VectorFilter) -> Matcher<'_> {
        let code = |(key, value): (&String, &String)| {
            let column = self.columns.get(key)?;
            Some((column, *column.values.get(value)?))
        };
        let labels: Vec<_> = filter.labels.iter().filter_map(code).collect();
        Matcher {
            rows: self,
            impossible: labels.len() < filter.labels.len(),
            labels,
            since: filter.since.map_or(i64::MIN, |t| t.as_microsecond()),
            until: filter.until.map_or(i64::MAX, |t| t.as_microsecond()),
        }
    }

    /// The nearest of some rows.
    pub(crate) fn nearest(&self, query: &[f32], limit: usize, slots: impl IntoIterator<Item = Slot>) -> Vec<VectorHit> {
        let mut best: BinaryHeap<Reverse<Near<'_>>> = BinaryHeap::with_capacity(limit + 1);
        if limit == 0 {
            return Vec::new();
        }
        for slot in slots {
            let (Some(vector), Some(id)) = (self.vector(slot), self.names.get(slot as usize)) else { continue };
            let near = Near { similarity: dot(query, vector).clamp(-1.0, 1.0), id };
            if best.len() < limit {
                best.push(Reverse(near));
            } else if best.peek().is_some_and(|worst| near > worst.0) {
                best.pop();
                best.push(Reverse(near));
            }
        }
        // Reversed, so ascending order is best first.
        best.into_sorted_vec().into_iter().map(|near| VectorHit { id: near.0.id.to_string(), similarity: near.0.similarity }).collect()
    }
}

/// Nearer is greater; of equal ones, the smaller id is.
struct Near<'r> {
    similarity: f32,
    id: &'r str,
}

impl Ord for Near<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.similarity.total_cmp(&other.similarity).then_with(|| other.id.cmp(self.id))
    }
}

impl PartialOrd for Near<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Near<'_> {}
