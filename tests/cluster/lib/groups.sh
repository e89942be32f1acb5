# shellcheck shell=bash
# The cluster's cgroups: one group of its own in every hierarchy of the machine. Membership is also how `down` knows which
# processes are the cluster's: unlike a recorded process id it cannot come to mean another program.

hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts; }
pure_v2() { ! grep -q '^[1-9]' /proc/self/cgroup; }

make_groups() {
  local h
  for h in $(hierarchies); do
    mkdir -p "$h/$GROUP" || return 1
    # A new cpuset is empty, and an empty one takes no process.
    if [ -f "$h/$GROUP/cpuset.cpus" ] && [ -f "$h/cpuset.cpus" ]; then
      cat "$h/cpuset.cpus" >"$h/$GROUP/cpuset.cpus"
      cat "$h/cpuset.mems" >"$h/$GROUP/cpuset.mems"
    fi
  done
  ! pure_v2 || open_controllers "$(hierarchies)"
}

# v2 only: lets children of a group use its controllers.
open_controllers() {
  local c
  for c in $(cat "$1/cgroup.controllers"); do echo "+$c" >"$1/cgroup.subtree_control" 2>/dev/null || true; done
}

group_members() {
  local h
  for h in $(hierarchies); do
    [ ! -d "$h/$GROUP" ] || find "$h/$GROUP" -name cgroup.procs -exec cat {} + 2>/dev/null
  done | sort -un | grep -vx 0 || true
}

# Process 1 of the cluster's namespaces, as the machine sees it.
find_init() {
  local h p
  for h in $(hierarchies); do
    for p in $(cat "$h/$GROUP/cgroup.procs" "$h/$GROUP/init/cgroup.procs" 2>/dev/null); do
      awk '$1 == "NSpid:" && NF == 3 && $3 == 1 {found = 1} END {exit !found}' "/proc/$p/status" 2>/dev/null && echo "$p" && return
    done
  done
  return 1
}

kill_members() {
  local p round
  for round in $(seq 200); do
    members=$(group_members)
    [ -n "$members" ] || return 0
    for p in $members; do kill -KILL "$p" 2>/dev/null || true; done
    sleep 0.05
  done
  return 1
}

remove_groups() {
  local h round left
  for round in $(seq 100); do
    left=
    for h in $(hierarchies); do
      [ -d "$h/$GROUP" ] || continue
      find "$h/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ ! -d "$h/$GROUP" ] || left=$h
    done
    [ -n "$left" ] || return 0
    sleep 0.05
  done
  say "could not remove the cgroup $left/$GROUP"
  return 1
}
