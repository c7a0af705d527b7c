#!/usr/bin/env bash
# A training on several machines under Slurm, which is interrupted, requeued and goes on by itself until it is done:
#
#     sbatch --nodes 4 launch/slurm.sh --preset faces_16_128 --data /shared/faces --out /shared/runs/faces --precision bf16
#
# Everything after the script's name goes to `sr3mini train`; --out is needed, and must lie where all machines see it.
# Two minutes before the time is up, and when the job is preempted, Slurm sends SIGTERM: each process ends the step in hand,
# the state is saved, and the job is put back into the queue. It then goes on exactly where it was left.
#SBATCH --job-name=sr3mini
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
#SBATCH --output=sr3mini-%j.log
set -uo pipefail
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=110  # seconds that torchrun lets its processes save; by default it kills them after 30
trap : TERM  # a SIGTERM to this shell must not end it before the processes have saved

out=
for ((i = 1; i < $#; i++)); do
  [ "${!i}" = --out ] && next=$((i + 1)) && out=${!next}
done
if [ -z "$out" ]; then
  echo "slurm.sh: give --out with a folder that all machines see" >&2
  exit 2
fi

started=$(mktemp)
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

# srun hands SIGTERM on to torchrun, which hands it on to its processes, and waits for them.
srun --kill-on-bad-exit=1 torchrun \
  --nnodes "$SLURM_NNODES" \
  --nproc-per-node "${SLURM_GPUS_ON_NODE:-8}" \
  --rdzv-backend c10d \
  --rdzv-endpoint "$first:$port" \
  --rdzv-id "$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}" \
  -m sr3mini train "$@" --resume
status=$?
newer=$(find "$out/state" -mindepth 1 -maxdepth 1 -name 'step_*' -newer "$started" 2>/dev/null)
rm -f "$started"

if grep -q '"complete": true' "$out/model.json" 2>/dev/null; then
  echo "slurm.sh: the training is complete"
  exit 0
fi
# Not done. If a state was written since the start, back into the queue. Otherwise something is wrong, and would be again.
if [ -n "$newer" ]; then
  echo "slurm.sh: interrupted (status $status), back into the queue"
  scontrol requeue "$SLURM_JOB_ID"
else
  echo "slurm.sh: nothing was learnt since the start (status $status); not put back into the queue" >&2
  exit "$((status == 0 ? 1 : status))"
fi
