r"""DDPM code in SR3's letters.

    betas[t - 1]       1 - alphas[t]         what step t replaces by noise
    alphas[t - 1]      alphas[t]             what step t keeps
    alpha_bars[t - 1]  gammas[t]             what is left after t steps  (tag 1.5)
    x_0, x_t, x        y_0, y_t, y           the picture: x is the condition now
    eps_theta(x_t, t)  f(x, y_t, gammas[t])  the network is told the level

DDPM's tables begin with step 1 and a `NoiseSchedule`'s with step 0, so an index grows
by one, whatever it was. Two spellings of one index, `alpha_bars[t - 2]` and
`alpha_bars[i - 1]` after `i = t - 1`, both become `gammas[t - 1]`.
"""

from __future__ import annotations

import ast
import copy
import textwrap

TABLES = {"betas": "alphas", "alphas": "alphas", "alpha_bars": "gammas"}
NETWORKS = ("eps_theta", "model")


def to_sr3(source: str, first_step: int = 1) -> str:
    """Python source that reads `betas`, `alphas`, `alpha_bars` as DDPM's tables,
    rewritten for the tables of a `NoiseSchedule` (tag G.1).

    `first_step`: what the source's t is at the first step, 1 or 0; only the level told
    to the network depends on it. The condition `x` that `f` needs has to come from
    outside. Comments are lost. ValueError, with the line, where a table is used whole
    or cut, where an entry is written, where a network is not called as (picture, t),
    and where a new name is taken already.
    """
    if first_step not in (0, 1):
        raise ValueError(
            f"first_step = {first_step}, but DDPM code counts its steps from 0 or"
            " from 1"
        )
    tree = ast.parse(textwrap.dedent(source))
    _refuse_taken_names(tree)
    tree = _Letters(1 - first_step).visit(_IndexNames().visit(tree))
    return ast.unparse(ast.fix_missing_locations(tree))


def _letter(name: str) -> str:
    """The new name of a variable."""
    if name in NETWORKS:
        return "f"
    return (
        "y" + name[1:]
        if name == "x" or name.startswith("x_")
        else name.replace("alpha_bar", "gamma")
    )


def _refuse_taken_names(tree: ast.AST) -> None:
    used = {
        _last_name(node): node.lineno
        for node in ast.walk(tree)
        if isinstance(node, (ast.Name, ast.arg))
    }
    for name, line in used.items():
        if any(_letter(other) == name for other in (*used, *TABLES) if other != name):
            raise ValueError(
                f"line {line} uses the name {name}, which SR3's letters need; rename it"
                " first"
            )


def _last_name(node: ast.AST) -> str:
    """`betas` of betas, of self.betas and of a parameter betas; "" of anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return name
    return ""


class _IndexNames(ast.NodeTransformer):
    """Puts `t - 1` in the place of i, in every function whose body says `i = t - 1` and
    never changes i or t.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        stored = [
            _last_name(n)
            for n in ast.walk(node)
            if isinstance(n, ast.arg)
            or (isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        ]
        inlined: dict[str, ast.expr] = {}
        for line in [line for line in node.body if isinstance(line, ast.Assign)]:
            base, offset = _split(line.value)
            names = [_last_name(line.targets[0]), _last_name(base)]
            if (
                isinstance(base, ast.Name)
                and offset
                and all(stored.count(name) == 1 for name in names)
            ):
                inlined[names[0]] = line.value
                node.body.remove(line)
        node.body = [_PutIn(inlined).visit(line) for line in node.body] or [ast.Pass()]
        return node


class _PutIn(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.values.get(node.id, node))


class _Letters(ast.NodeTransformer):
    def __init__(self, shift: int) -> None:
        self.shift = shift  # from the source's t to the paper's

    def visit_Name(self, node: ast.Name) -> ast.Name:
        self._refuse_whole_table(node)
        return ast.Name(_letter(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self._refuse_whole_table(node)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(_letter(node.arg), node.annotation)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = _last_name(node.value)
        if name not in TABLES:
            return self.generic_visit(node)
        if isinstance(node.slice, (ast.Slice, ast.Tuple)) or not isinstance(
            node.ctx, ast.Load
        ):
            raise ValueError(
                f"line {node.lineno} cuts or writes the table {name}; only the reading"
                f" of single entries, {name}[...], can be translated"
            )
        table = (
            ast.Attribute(self.visit(node.value.value), TABLES[name])
            if isinstance(node.value, ast.Attribute)
            else ast.Name(TABLES[name])
        )
        entry = ast.Subscript(table, _moved(self.visit(node.slice), 1))
        return (
            ast.BinOp(ast.Constant(1), ast.Sub(), entry) if name == "betas" else entry
        )

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not (isinstance(node.func, ast.Name) and node.func.id in NETWORKS):
            return self.generic_visit(node)
        if len(node.args) != 2 or node.keywords:
            raise ValueError(
                f"line {node.lineno} does not call {node.func.id} as"
                f" {node.func.id}(picture, t)"
            )
        picture, t = (self.visit(argument) for argument in node.args)
        level = ast.Subscript(ast.Name("gammas"), _moved(t, self.shift))
        return ast.Call(ast.Name("f"), [ast.Name("x"), picture, level], [])

    def _refuse_whole_table(self, node: ast.Name | ast.Attribute) -> None:
        name = _last_name(node)
        if name in TABLES:
            raise ValueError(
                f"line {node.lineno} uses the table {name} whole; make the tables with"
                " NoiseSchedule.from_betas, and translate the rest"
            )


def _split(index: ast.expr) -> tuple[ast.expr, int]:
    """`base + offset`, with every whole number that is added or subtracted at the end
    in the offset.
    """
    match index:
        case ast.BinOp(
            left=left,
            op=ast.Add() | ast.Sub() as sign,
            right=ast.Constant(value=int(number)),
        ):
            base, offset = _split(left)
            return base, offset + (number if isinstance(sign, ast.Add) else -number)
    return index, 0


def _moved(index: ast.expr, by: int) -> ast.expr:
    """The index plus `by`. One that is counted from the end, as in betas[-1], stays:
    both tables end with step T.
    """
    if isinstance(index, ast.UnaryOp):
        return index
    if isinstance(index, ast.Constant) and isinstance(index.value, int):
        return ast.Constant(index.value + by)
    base, offset = _split(index)
    offset += by
    return (
        base
        if offset == 0
        else ast.BinOp(
            base, ast.Add() if offset > 0 else ast.Sub(), ast.Constant(abs(offset))
        )
    )
