"""What Longwave is measured against: each as its documentation suggests, then as fast as it gets."""
