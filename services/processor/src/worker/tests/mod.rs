mod crash;
mod house;
mod holds;
mod paths;
mod trouble;
