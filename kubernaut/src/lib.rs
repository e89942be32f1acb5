//! kubernaut
