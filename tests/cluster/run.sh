#!/usr/bin/env bash
# The job runners on a real Slurm and a real GridEngine, and what goes wrong on clusters. Their daemons run on the loopback
# interface, in folders of their own, for the time of the tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
  --help | -h)
    echo "Usage: tests/cluster/run.sh [pytest options, e.g. -k slurm]"
    echo "Root is needed; Debian's packages of both schedulers are installed, and stay. Takes some minutes."
    exit 0 ;;
esac

packages=(slurmctld slurmd slurm-client gridengine-master gridengine-exec gridengine-client)
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && ! dpkg -s "${packages[@]}" > /dev/null 2>&1; then
  policy=/usr/sbin/policy-rc.d # says that no service starts by its installation
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
  fi
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
fi
local/install_packages.sh requirements.txt
. ./path.sh
python3 -m kaldi.compile 2> /dev/null
# A process for each scheduler and file of tests, and one for the recipe with run.pl: they wait more than they compute.
export OMP_NUM_THREADS=1
env --default-signal=INT python3 -m pytest --numprocesses 5 --dist loadscope tests/cluster "$@"
