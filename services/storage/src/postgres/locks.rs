//! Locks on targets: one run at a time changes an object.

use std::time::Duration;

use super::{
    error::Fault,
    row::{micros, plus},
    tx::Tx,
};

pub(crate) async fn take(tx: &mut Tx, target: String, holder: String, ttl: Duration) -> Result<bool, Fault> {
    let query = sqlx::query(
        "INSERT INTO target_locks (target, holder, until) VALUES ($1, $2, $3) ON CONFLICT (target) DO UPDATE \
         SET holder = excluded.holder, until = excluded.until WHERE target_locks.holder = excluded.holder OR target_locks.until <= $4",
    );
    let until = plus(tx.now, ttl);
    Ok(tx.execute(query.bind(target).bind(holder).bind(micros(until)).bind(micros(tx.now))).await? == 1)
}

pub(crate) async fn give_back(tx: &mut Tx, target: String, holder: String) -> Result<(), Fault> {
    tx.execute(sqlx::query("DELETE FROM target_locks WHERE target = $1 AND holder = $2").bind(target).bind(holder)).await?;
    Ok(())
}
