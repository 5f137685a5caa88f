"""What all replicas of a distribution strategy have to agree on; without a strategy there is one."""

import contextlib
import os

import tensorflow as tf

from keras_seq2seq.errors import InputError, reason_of
from keras_seq2seq.keras_version import keras, keras_major


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Returns the sum of the replicas' values, on each of them."""
    replicas = tf.distribute.get_replica_context()
    return replicas.all_reduce(tf.distribute.ReduceOp.SUM, value) if replicas.num_replicas_in_sync > 1 else value


def mean_over_replicas(tracker: keras.metrics.Mean) -> tf.Tensor:
    """Returns the mean of what all replicas have tracked, each value with its weight.

    Keras 3 shows the mean of the means of the replicas, which is another one where they have unequal parts.
    """
    total, count = sum_over_replicas(tf.identity(tracker.total)), sum_over_replicas(tf.identity(tracker.count))
    return tf.math.divide_no_nan(total, count)


def result_over_replicas(metric: keras.metrics.Metric) -> tf.Tensor:
    """Returns the result of what all replicas have tracked; the metric's variables have to be sums, as Keras's own are.

    Keras 2 adds them up by itself; Keras 3 shows the mean of the replicas' results.
    """
    if keras_major() == 2 or tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return metric.result()
    return metric.stateless_result([sum_over_replicas(tf.convert_to_tensor(part)) for part in metric.variables])


def require_supported_strategy() -> None:
    """Refuses several workers on Keras 3.

    Raises:
        NotImplementedError: this is one of them.
    """
    if keras_major() == 3 and isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        raise NotImplementedError(
            "Keras 3 cannot train under MultiWorkerMirroredStrategy: use Keras 2 (TF_USE_LEGACY_KERAS=1)."
        )


def scope_of(strategy: str) -> contextlib.AbstractContextManager:
    """Puts what is made and trained within under a distribution strategy of TensorFlow.

    Args:
        strategy: `none`; `mirrored`: all GPUs of this machine, or else its CPU devices; `multi-worker`: the processes
            that the environment variable `TF_CONFIG` names. That has to come before all other work of TensorFlow.

    Raises:
        InputError: it is not possible here.
    """
    if strategy == "none":
        return contextlib.nullcontext()
    if strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices]).scope()
    if keras_major() == 3:
        raise InputError("--strategy multi-worker needs Keras 2: Keras 3 cannot train on several workers")
    if "TF_CONFIG" not in os.environ:
        raise InputError("--strategy multi-worker needs the environment variable TF_CONFIG: see the training guide")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy().scope()
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(f"TF_CONFIG cannot be used: {reason_of(error)}") from None


def is_chief() -> bool:
    """Says whether this process is the one of all workers that writes files; without workers it is."""
    resolver = getattr(tf.distribute.get_strategy(), "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)
