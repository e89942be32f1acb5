mod crash;
mod holds;
mod house;
mod paths;
mod trouble;
