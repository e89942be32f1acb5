//! The walk from an object to its top owner.

use kubernaut_core::{
    Error, Result,
    model::{Object, ObjectRef},
};

/// How far the walk goes: Pod → ReplicaSet → Deployment → two levels of operators.
pub(crate) const MAX_OWNERS: usize = 5;

/// What one step of the walk finds.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The object does not exist.
    Missing,
    /// Nothing controls it.
    Top,
    /// This controls it.
    OwnedBy(ObjectRef),
}

impl Step {
    pub(crate) fn of(object: Option<&Object>) -> Self {
        match object.map(Object::controller) {
            None => Self::Missing,
            Some(None) => Self::Top,
            Some(Some(owner)) => Self::OwnedBy(owner),
        }
    }
}

/// Owners from the nearest to the top; an owner that does not exist ends the walk and is included by reference.
pub(crate) async fn walk<F>(start: &ObjectRef, step: impl Fn(ObjectRef) -> F) -> Result<Vec<ObjectRef>>
where
    F: Future<Output = Result<Step>>,
{
    let mut owners: Vec<ObjectRef> = Vec::new();
    let mut found = step(start.clone()).await?;
    if matches!(found, Step::Missing) {
        return Err(Error::not_found("cluster.owners", "the object does not exist").with("object", start));
    }
    while let Step::OwnedBy(owner) = found {
        // A cycle can only come from a hand-made bundle.
        if owners.len() == MAX_OWNERS || owner.same_object(start) || owners.iter().any(|o| o.same_object(&owner)) {
            break;
        }
        owners.push(owner.clone());
        found = step(owner).await?;
    }
    Ok(owners)
}
