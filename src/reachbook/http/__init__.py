"""HTTP: routes, middleware, handlers. `app` is where to start reading."""
