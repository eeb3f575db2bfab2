"""A guard on the cost of a message that a noisy machine cannot disturb: it counts, it does not time."""
