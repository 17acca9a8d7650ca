"""BibTeX of what a run used."""

from __future__ import annotations

from pathlib import Path

from tradenas.study.folder import RunFolder

__all__ = ["STATISTICS", "citations"]

#: What every verdict rests on.
STATISTICS = (
    "@article{hansen2005spa, title={A Test for Superior Predictive Ability}, author={Hansen, Peter Reinhard},\n"
    "  journal={Journal of Business \\& Economic Statistics}, volume={23}, number={4}, pages={365--380}, year={2005}}",
    "@article{romano2005stepwise, title={Stepwise Multiple Testing as Formalized Data Snooping},\n"
    "  author={Romano, Joseph P. and Wolf, Michael}, journal={Econometrica}, volume={73}, number={4}, "
    "pages={1237--1282}, year={2005}}",
    "@article{hansen2011mcs, title={The Model Confidence Set}, author={Hansen, Peter R. and Lunde, Asger and Nason, "
    "James M.},\n  journal={Econometrica}, volume={79}, number={2}, pages={453--497}, year={2011}}",
    "@article{bailey2014deflated, title={The Deflated Sharpe Ratio}, author={Bailey, David H. and L{\\'o}pez de Prado, "
    "Marcos},\n  journal={Journal of Portfolio Management}, volume={40}, number={5}, pages={94--107}, year={2014}}",
    "@article{bailey2017pbo, title={The Probability of Backtest Overfitting}, author={Bailey, David H. and Borwein, "
    "Jonathan\n  and L{\\'o}pez de Prado, Marcos and Zhu, Qiji Jim}, journal={Journal of Computational Finance}, "
    "volume={20}, number={4}, year={2017}}",
    "@article{politis1994stationary, title={The Stationary Bootstrap}, author={Politis, Dimitris N. and Romano, "
    "Joseph P.},\n  journal={Journal of the American Statistical Association}, volume={89}, number={428}, "
    "pages={1303--1313}, year={1994}}",
    "@article{kendall1938tau, title={A New Measure of Rank Correlation}, author={Kendall, Maurice G.},\n"
    "  journal={Biometrika}, volume={30}, number={1/2}, pages={81--93}, year={1938}}",
)


def citations(folder: Path) -> list[str]:
    """The search method of the run, then the statistics of its verdict."""
    config = RunFolder.existing(folder).config()
    return [*config.search.citations(), *STATISTICS]
