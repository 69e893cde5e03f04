"""A third task, made of new files only: where the demo's cut-outs stand out from the photograph, one value a pixel.

What a task takes: its class (`task`), what is measured (`metrics`), its data module (`data`), here also a network of
its own (`network`), and the yamls beside this package in conf/. `task=saliency` names the first of these, whose
`_target_` makes the task known. `tests/test_third_task.py` trains, evaluates and reports it.
"""
