"""JSON in both directions: `models` has the bodies, the other modules parse and render them."""
