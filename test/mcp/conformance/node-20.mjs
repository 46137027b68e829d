/** The suite's one file imports `globSync` of `fs`, which Node 20 has not, for what is not run here: it finds nothing instead. */
import { register } from 'node:module';

const shim = "export * from 'node:fs'; export const globSync = () => [];";
const hooks = `
  const shim = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(shim)});
  export const resolve = (specifier, context, next) =>
    specifier === 'fs' && context.parentURL?.includes('/@modelcontextprotocol/conformance/')
      ? { url: shim, shortCircuit: true }
      : next(specifier, context);
`;
if (!(await import('node:fs')).globSync) register(`data:text/javascript,${encodeURIComponent(hooks)}`);
