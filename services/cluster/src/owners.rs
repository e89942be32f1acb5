//! The walk from an object to its top owner.

use kubernaut_core::{
    Error, Result,
    model::{Object, ObjectRef},
};

/// How far the walk goes: Pod → ReplicaSet → Deployment → two levels of operators.
pub(crate) const MAX_OWNERS: usize = 5;

/// Owners from the nearest to the top; an owner that `get` does not find ends the walk and is included by reference.
pub(crate) async fn walk<F>(start: &ObjectRef, get: impl Fn(ObjectRef) -> F) -> Result<Vec<ObjectRef>>
where
    F: Future<Output = Result<Option<Object>>>,
{
    let first = get(start.clone()).await?;
    let mut current = first.ok_or_else(|| Error::not_found("cluster.owners", "the object does not exist").with("object", start))?;
    let mut owners: Vec<ObjectRef> = Vec::new();
    while owners.len() < MAX_OWNERS
        && let Some(owner) = current.controller()
    {
        // A cycle can only come from a hand-made bundle.
        if owners.iter().any(|o| o.same_object(&owner)) || owner.same_object(start) {
            break;
        }
        owners.push(owner.clone());
        match get(owner).await? {
            Some(next) => current = next,
            None => break,
        }
    }
    Ok(owners)
}
