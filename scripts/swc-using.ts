/**
 * For `node --import`: teaches the visitor of @swc/core, which dependency-cruiser walks a file with, the `using`
 * declaration that its parser knows already. Without it a file that has one cannot be read.
 */
import { createRequire } from 'node:module';

interface Node {
  readonly type: string;
  decls?: unknown;
}

interface Visitor {
  visitStatement(node: Node): Node;
  visitPattern(node: Node): Node;
  visitVariableDeclarators(declarators: unknown): unknown;
}

const { Visitor } = createRequire(import.meta.url)('@swc/core/Visitor.js') as { Visitor: { prototype: Visitor } };

// visitPattern is what it calls for the left side of `for (using … of …)`.
for (const method of ['visitStatement', 'visitPattern'] as const) {
  const known = Visitor.prototype[method];
  Visitor.prototype[method] = function (node) {
    if (node.type !== 'UsingDeclaration') return known.call(this, node);
    node.decls = this.visitVariableDeclarators(node.decls);
    return node;
  };
}
