//! kubernaut-core
