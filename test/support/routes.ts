import type { Router } from 'express';

/** `GET /llms/{name}` of every route that a router answers itself. */
export function callsOf(router: Router): string[] {
  return router.stack.flatMap(({ route }) =>
    route
      ? [...new Set(route.stack.map(({ method }) => method))].map(
          (method) => `${method.toUpperCase()} ${route.path.replace(/[:*](\w+)/g, '{$1}')}`,
        )
      : [],
  );
}
