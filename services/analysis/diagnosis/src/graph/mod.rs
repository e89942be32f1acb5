//! The cause graph: objects with what is wrong about them, and who explains whom.

use std::collections::{BTreeSet, VecDeque};

use kubernaut_core::model::{Category, Evidence, EvidenceSource, ObjectRef, ProposedAction};

use crate::{facts::Facts, rules};

/// A possible cause that a rule found at an object.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) category: Category,
    /// The object to change.
    pub(crate) object: ObjectRef,
    pub(crate) confidence: f64,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) actions: Vec<ProposedAction>,
    /// Whether it is only how the fault shows: it yields to any cause that explains it.
    pub(crate) symptom: bool,
}

impl Finding {
    pub(crate) fn new(category: Category, object: &ObjectRef, confidence: f64, summary: impl Into<String>) -> Self {
        Self {
            category,
            object: ObjectRef { uid: None, ..object.clone() },
            confidence,
            summary: summary.into(),
            evidence: Vec::new(),
            actions: Vec::new(),
            symptom: false,
        }
    }

    /// Adds a fact.
    pub(crate) fn because(mut self, object: &ObjectRef, source: EvidenceSource, text: impl Into<String>) -> Self {
        let text = crate::facts::text::short(&text.into(), 400);
        self.evidence.push(Evidence::new(ObjectRef { uid: None, ..object.clone() }, source, text));
        self
    }

    /// Adds a fact if there is one.
    pub(crate) fn because_some(self, object: &ObjectRef, source: EvidenceSource, text: Option<String>) -> Self {
        match text {
            Some(text) => self.because(object, source, text),
            None => self,
        }
    }

    /// Adds a proposal.
    pub(crate) fn propose(mut self, action: ProposedAction) -> Self {
        self.actions.push(action);
        self
    }

    /// Marks it as a symptom.
    pub(crate) fn symptomatic(mut self) -> Self {
        self.symptom = true;
        self
    }
}

/// A reason to look at another object for the cause.
#[derive(Debug, Clone)]
pub(crate) struct Lead {
    pub(crate) to: ObjectRef,
    /// How sure it is that the other object explains this one.
    pub(crate) strength: f64,
    pub(crate) text: String,
    pub(crate) evidence: Vec<Evidence>,
    /// Whether an alert on the one is an alert on the other, such as a Service and what serves it.
    pub(crate) stands_for: bool,
}

impl Lead {
    pub(crate) fn new(to: &ObjectRef, strength: f64, text: impl Into<String>) -> Self {
        Self { to: ObjectRef { uid: None, ..to.clone() }, strength, text: text.into(), evidence: Vec::new(), stands_for: false }
    }

    /// Marks that the other object stands for this one.
    pub(crate) fn standing_for(mut self) -> Self {
        self.stands_for = true;
        self
    }

    /// Adds a fact.
    pub(crate) fn because(mut self, object: &ObjectRef, source: EvidenceSource, text: impl Into<String>) -> Self {
        let text = crate::facts::text::short(&text.into(), 400);
        self.evidence.push(Evidence::new(ObjectRef { uid: None, ..object.clone() }, source, text));
        self
    }
}

/// What rules say about one object.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) leads: Vec<Lead>,
}

impl Report {
    pub(crate) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(crate) fn lead(&mut self, lead: Lead) {
        self.leads.push(lead);
    }
}

/// One object in the graph.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) subject: ObjectRef,
    /// Steps from the alerted object.
    pub(crate) depth: usize,
    /// Whether the alert is about it.
    pub(crate) is_target: bool,
    /// Product of the strengths of the leads to it.
    pub(crate) strength: f64,
    /// The node that led here.
    pub(crate) parent: Option<usize>,
    /// Why it was looked at.
    pub(crate) why: String,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) report: Report,
}

/// The graph from the alerted object outwards.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

impl Graph {
    /// Whether a node led, over any number of steps, to another.
    pub(crate) fn leads_to(&self, from: usize, to: usize) -> bool {
        let mut at = self.nodes[to].parent;
        while let Some(i) = at {
            if i == from {
                return true;
            }
            at = self.nodes[i].parent;
        }
        false
    }

    /// Whether a node was reached from another workload, which needs it.
    pub(crate) fn is_needed_by_a_workload(&self, node: usize) -> bool {
        let own = &self.nodes[node].subject;
        self.path(node).iter().map(|i| &self.nodes[*i].subject).any(|s| {
            let runs_pods = crate::facts::workload::KINDS.contains(&s.kind.as_str()) && s.kind != "CronJob";
            runs_pods && !s.same_object(own)
        })
    }

    /// From the alerted object to a node: why each was looked at.
    pub(crate) fn path(&self, to: usize) -> Vec<usize> {
        let mut path = vec![to];
        while let Some(parent) = self.nodes[path[path.len() - 1]].parent {
            path.push(parent);
        }
        path.reverse();
        path
    }
}

/// Applies the rules to the alerted object and to everything that may explain it, strongest leads first.
pub(crate) fn explore(facts: &Facts, max_depth: usize) -> Graph {
    let mut graph = Graph::default();
    let mut seen = BTreeSet::new();
    let start = rules::subject(facts, &facts.target);
    let mut queue = VecDeque::from([(Lead::new(&start, 1.0, "the alerted object"), None, 0)]);
    while let Some((lead, parent, depth)) = queue.pop_front() {
        let subject = rules::subject(facts, &lead.to);
        if !seen.insert(subject.to_string()) || graph.nodes.len() >= 60 {
            continue;
        }
        let mut report = Report::default();
        let is_target = depth == 0 || (lead.stands_for && parent.is_some_and(|p: usize| graph.nodes[p].is_target));
        rules::examine(facts, &subject, is_target, &mut report);
        let strength = lead.strength * parent.map_or(1.0, |p: usize| graph.nodes[p].strength);
        let mut leads = report.leads.clone();
        leads.sort_by(|a, b| b.strength.total_cmp(&a.strength));
        let index = graph.nodes.len();
        graph.nodes.push(Node { subject, depth, is_target, strength, parent, why: lead.text, evidence: lead.evidence, report });
        if depth < max_depth {
            queue.extend(leads.into_iter().map(|l| (l, Some(index), depth + 1)));
        }
    }
    graph
}
