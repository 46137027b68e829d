/** Rules of this repository that no linter brings: see .oxlintrc.json. */

/** @param {string} message what is told of each node that `visitors` gives to `tell`. */
const rule = (message, visitors) => ({
  create: (context) => visitors((node) => context.report({ node, message })),
});

export default {
  meta: { name: 'house' },
  rules: {
    'own-errors': rule('Use core/errors.ts.', (tell) => ({
      ThrowStatement({ argument }) {
        if (argument.type === 'NewExpression' && argument.callee.name === 'Error') tell(argument);
      },
    })),
    'named-exports': rule('Named exports only.', (tell) => ({ ExportDefaultDeclaration: tell })),
    'told-silence': rule('Say why nothing happens.', (tell) => ({
      CatchClause({ body }) {
        if (body.body.length === 0) tell(body);
      },
    })),
  },
};
