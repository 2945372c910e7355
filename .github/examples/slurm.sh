#!/bin/sh
# One kernel-sharing run as a Slurm job array: sbatch slurm.sh, then merge.
#SBATCH --job-name=matrix
#SBATCH --array=1-4
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=01:00:00
# Each task finds its shard in SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT. The
# cache may be shared: what one task fetches the others wait for.
set -u
matrix run --shard auto --output "$SLURM_SUBMIT_DIR/results"
# 1 and 3 are results, which merging sums up:
#   matrix merge --output results results/runs/*
status=$?
case $status in 1|3) exit 0 ;; *) exit "$status" ;; esac
