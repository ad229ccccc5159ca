"""What balancebot does: each module one task, its collaborators passed in, its outcome a report."""
