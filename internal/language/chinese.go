package language

// chinese are the translations, by the English format. A verb keeps its argument:
// where the order is another, %[2]s says which. test/language_test.go holds the
// table to the code, and language_test.go each line to its key. What stays English
// within a sentence is what the log, the journal and the configuration call it:
// states, verdicts, verbs, commands and the reasons of gates.
var chinese = map[string]string{
	// Where a rollout stands.
	"%d of %d containers are new, %d of them healthy; %d old ones run": "%[2]d 个容器中有 %[1]d 个是新的，其中 %[3]d 个健康；%[4]d 个旧容器在运行",
	"Rancher cannot be read since %s: %s":                              "已有 %s 无法读取 Rancher：%s",
	"Rancher cannot be read: %s":                                       "无法读取 Rancher：%s",
	"Rancher goes back to %s":                                          "Rancher 正在退回到 %s",
	"Rancher removes the old containers":                               "Rancher 正在删除旧容器",
	"Rancher says %s":                                                  "Rancher 显示 %s",
	"Rancher stops the upgrade":                                        "Rancher 正在停止升级",
	"active, but %s":                                                   "active（运行中），但是 %s",
	"baking %s of %s: %s":                                              "观察期 %s / %s：%s",
	"cancelled: %d new and %d old containers run side by side":         "已取消：%d 个新容器与 %d 个旧容器并存运行",
	"runs %s on %d containers":                                         "正在 %[2]d 个容器上运行 %[1]s",
	"upgraded, but %s":                                                 "upgraded（已升级），但是 %s",
	"upgraded: %d new containers are healthy, %d old ones are kept for the way back": "upgraded（已升级）：%d 个新容器健康，保留 %d 个旧容器作为退路",
	"waiting for %s; %s":                    "等待 %s；%s",
	" (paused by %s)":                       "（已被 %s 暂停）",
	" (the daemon does not answer now: %s)": "（守护进程目前没有应答：%s）",
	"the daemon has not looked yet":         "守护进程还没有查看过",
	"it runs already":                       "它已经在运行",
	"rolled back in Rancher":                "在 Rancher 中被回滚",
	"somebody changed the service to %s":    "有人把服务改成了 %s",
	"another upgrade took its place, to %s": "另一次升级取而代之，目标是 %s",
	"the service was removed":               "服务已被删除",
	"a newer image took its place before it was rolled out: the tag names %s":             "发布之前已有更新的镜像取而代之：标签现在指向 %s",
	"waiting for the first rollout of %d services: %s; Ctrl-C ends it":                    "等待 %d 个服务中的第一次发布：%s；按 Ctrl-C 结束",
	"this machine slept for %s: looking anew":                                             "这台机器睡眠了 %s：重新查看",
	"no rollout is under way":                                                             "没有正在进行的发布",
	"cannot see any rollout now: %s":                                                      "目前看不到任何发布：%s",
	"stopped waiting; no rollout had begun":                                               "不再等待；没有发布开始过",
	"%d rollouts are under way: this is %s; `drover watch` shows another by its name: %s": "有 %d 个发布正在进行：这是 %s；`drover watch` 加名称可以看其它的：%s",
	"%s ended otherwise: %s":                                                              "%s 以另一种结果结束：%s",
	"%s: what came of it is not known: %s":                                                "%s：结果未知：%s",
	"%s: not %s in time: %s":                                                              "%s：没有在时限内达到 %s：%s",
	"stopped waiting; the rollout of %s goes on: %s":                                      "不再等待；%s 的发布继续进行：%s",
	"left %s alone: %s\n`drover watch %[1]s` comes back to it":                            "没有改动 %s：%s\n`drover watch %[1]s` 可以回来继续看",
	"finished":    "finished（已完成）",
	"rolled-back": "rolled-back（已回滚）",
	"upgraded":    "upgraded（已升级）",
	"canceled":    "canceled（已取消）",
	"not-applied": "not-applied（未生效）",
	"taken-over":  "taken-over（被他人接管）",
	"open":        "open（进行中）",

	// What a decision will do.
	"%s: this acts on Rancher alone": "%s：此操作只作用于 Rancher",
	"the rollout is stuck, and the daemon writes nothing more: this acts on Rancher itself; `drover resume` gives the service back": "发布已卡住，守护进程不再写入任何东西：此操作直接作用于 Rancher；`drover resume` 把服务交还给它",
	"the daemon only observes (%s): this acts on Rancher itself; `drover resume` gives the service back":                            "守护进程只在旁观（%s）：此操作直接作用于 Rancher；`drover resume` 把服务交还给它",
	"the daemon has no rollout of it open: this acts on Rancher itself":                                                             "守护进程没有它的进行中发布：此操作直接作用于 Rancher",
	"the daemon finishes rollout %s to %s as soon as every container is proved%s":                                                   "每个容器都核实之后，守护进程立即完成发布 %s（到 %s）%s",
	", without the %s that are left of the bake and without the gates":                                                              "，不再等待剩下的 %s 观察期，也不再看门禁",
	", without bake and gates":                                                                           "，不再等待观察期和门禁",
	"Rancher finishes the upgrade of %s to %s":                                                           "Rancher 完成 %s 到 %s 的升级",
	"the old containers are removed, and Rancher's own way back with them":                               "旧容器将被删除，Rancher 自己的退路也随之消失",
	"%s is removed, and Rancher's own way back with it":                                                  "%s 将被删除，Rancher 自己的退路也随之消失",
	"%s are removed, and Rancher's own way back with them":                                               "%s 将被删除，Rancher 自己的退路也随之消失",
	"the new containers are removed, and their logs with them":                                           "新容器将被删除，它们的日志也随之消失",
	"%s is removed, and its log with it":                                                                 "%s 将被删除，它的日志也随之消失",
	"%s are removed, and their logs with them":                                                           "%s 将被删除，它们的日志也随之消失",
	"the daemon takes rollout %s back: Rancher goes back to %s":                                          "守护进程收回发布 %s：Rancher 退回到 %s",
	"Rancher takes %s back to %s":                                                                        "Rancher 把 %s 退回到 %s",
	"what ran before":                                                                                    "之前运行的版本",
	"%s is quarantined: only a newer image or `drover retry` moves the target again":                     "%s 将被隔离：只有更新的镜像或 `drover retry` 才会让该目标继续",
	"a fresh upgrade goes back to %s%s, with the whole launch configuration that %s kept":                "以一次全新的升级退回到 %s%s，使用%s中保存的完整启动配置",
	", which ran until %s":                                                                               "（运行到 %s）",
	"the journal":                                                                                        "日志（journal）",
	"%s, judged by the same gates":                                                                       "%s，由同样的门禁评判",
	"it stops at upgraded: `drover finish` or `drover rollback` then decides":                            "它停在 upgraded（已升级）：之后由 `drover finish` 或 `drover rollback` 决定",
	"Rancher stops where it is: old and new containers stay side by side, and nothing goes on by itself": "Rancher 停在当前位置：新旧容器并存，不会自行继续",
	"`drover rollback` takes it back from there":                                                         "`drover rollback` 可以从那里收回",
	"nothing starts and nothing is finished any more, until `drover resume`":                             "在 `drover resume` 之前，不再开始也不再完成任何发布",
	"; rollout %s is still judged, and taken back when a gate fails":                                     "；发布 %s 仍会被评判，门禁失败时收回",
	"the pause by %s ends":                                                                               "由 %s 发起的暂停结束",
	"the daemon takes the service over as it is now (%s), as if it saw it for the first time":            "守护进程按服务现在的样子（%s）接管，如同初次见到",
	"the daemon finishes rollout %s to %s once every gate has passed (now: %s)":                          "所有门禁都通过之后，守护进程完成发布 %s（到 %s；现在：%s）",
	"the tag names %s, and that starts now: the back-off ends for it too":                                "标签指向 %s，它现在就开始：对它的等待也结束了",
	"%s may be tried once more":                                                                          "%s 可以再试一次",
	"; it is quarantined because: %s":                                                                    "；它被隔离的原因：%s",
	"nothing starts now: the tag names %s":                                                               "现在不会开始任何发布：标签指向 %s",
	"what could not be read yet":                                                                         "尚未读到的内容",
	"Rancher upgrades %s from %s to %s (%s), %s":                                                         "Rancher 把 %s 从 %s 升级到 %s（%s），%s",
	"%d at a time, %s apart, %s":                                                                         "每批 %d 个，间隔 %s，%s",
	"old containers stop first":                                                                          "先停旧容器",
	"new containers start first":                                                                         "先启动新容器",
	"only the image and the labels io.drover.* change":                                                   "只改镜像和 io.drover.* 标签",
	"the daemon rolls %s out to %s as soon as nothing speaks against it (now: %s)":                       "一旦没有妨碍，守护进程就把 %s 发布到 %s（现在：%s）",
	"it leaves quarantine, where it is because: %s":                                                      "它将解除隔离，当初隔离的原因：%s",
	"the target is paused by %s: nothing starts before `drover resume`":                                  "该目标已被 %s 暂停：在 `drover resume` 之前不会开始",
	"it starts although what runs now fails more than is allowed; the new version is held to that, and passes only below the limit": "尽管当前版本的失败超过允许值，仍会开始；新版本以此为基准，低于上限才算通过",

	// Why there is nothing to do.
	"nothing to do: %s":                       "无事可做：%s",
	"%s is being rolled back already":         "%s 已经在回滚",
	"%s is paused already, by %s":             "%s 已经被 %s 暂停",
	"%s is neither paused nor held nor stuck": "%s 既没有暂停，也没有被搁置或卡住",
	"%s runs %s already":                      "%s 已经在运行 %s",

	// Why it is refused, and what to do.
	"refused: %w":                           "已拒绝：%w",
	"unknown verb %q":                       "未知的操作 %q",
	"rollout %s is not open any more":       "发布 %s 已不在进行中",
	"rollout %s is not the open one, %s is": "进行中的发布不是 %s，而是 %s",
	"%s is still upgrading (%s): finish it when it is upgraded, `drover wait --for upgraded` waits for that": "%s 仍在升级（%s）：等到 upgraded（已升级）再完成，`drover wait --for upgraded` 可以等待",
	"%s has no upgrade under way: %s":                                                  "%s 没有进行中的升级：%s",
	"%s is %s, and Rancher does not offer to finish%s":                                 "%s 处于 %s，Rancher 不提供完成操作%s",
	"%s is upgraded, but %s: an upgrade that is not proved is not finished":            "%s 处于 upgraded（已升级），但是 %s：没有核实的升级不会被完成",
	": should it hang, `drover cancel` and then `drover rollback` lead out":            "：如果卡住，先 `drover cancel` 再 `drover rollback` 可以脱身",
	": `drover rollback` leads out":                                                    "：`drover rollback` 可以脱身",
	"%s is %s, and Rancher does not offer to roll back%s":                              "%s 处于 %s，Rancher 不提供回滚操作%s",
	"rollout %s is itself a way back: it is not rolled back; `drover cancel` stops it": "发布 %s 本身就是退路：不能再回滚；`drover cancel` 可以停止它",
	"%s has no upgrade under way, and there is no way back from the last one: %s":      "%s 没有进行中的升级，上一次升级也没有退路：%s",
	"none is known": "没有已知的退路",
	"there is no journal in %s that would know it":                     "%s 中没有能知道它的日志（journal）",
	"%s is %s: only an upgrade or a finish under way can be cancelled": "%s 处于 %s：只有进行中的升级或完成操作才能取消",
	"no rollout is open":                                                               "没有进行中的发布",
	"rollout %s is stuck: %s":                                                          "发布 %s 已卡住：%s",
	"name the digest to try again (--digest)":                                          "请指明要重试的 digest（--digest）",
	"%s is %s: that has to end first":                                                  "%s 处于 %s：必须先等它结束",
	"%s is %s, and Rancher does not offer to upgrade it":                               "%s 处于 %s，Rancher 不提供升级操作",
	"the registry cannot be asked for %s: %s":                                          "无法向镜像仓库查询 %s：%s",
	"%s follows no tag that is known here: name one with --image":                      "%s 没有已知的跟踪标签：请用 --image 指明",
	"%s has nothing for the hosts' platform":                                           "%s 没有适合主机平台的镜像",
	"%s names %s, not %s":                                                              "%s 指向 %s，不是 %s",
	"rollout %s to %s is open: %s":                                                     "发布 %s（到 %s）正在进行：%s",
	"the target follows %s, not %s: change it in targets.yaml":                         "该目标跟踪 %s，不是 %s：请在 targets.yaml 中修改",
	"--despite-baseline is for one digest: name it (--digest; the tag names %s)":       "--despite-baseline 只针对一个 digest：请指明（--digest；标签指向 %s）",
	"the daemon has not read the tag yet: %s":                                          "守护进程还没有读到标签：%s",
	"it has not looked":                                                                "它还没有查看",
	"the target follows %s, which names %s, not %s":                                    "该目标跟踪 %s，它指向 %s，不是 %s",
	"%s: nothing was done, because %s is a decision that only the daemon can remember": "%s：没有执行任何操作，因为 %s 是只有守护进程才能记住的决定",
	"nothing can be done in Rancher for %s":                                            "在 Rancher 中无法执行 %s",
	"the daemon does not look after %s":                                                "守护进程不负责 %s",

	// Errors of the commands.
	"%w; start one with `drover run`":                                                 "%w；用 `drover run` 启动一个",
	"%w: nothing was done":                                                            "%w：没有执行任何操作",
	"%w any more: it is not known whether it took the command":                        "%w：不知道它是否收到了命令",
	"%w: nothing was done, because without it and without %s nobody knows what %q is": "%w：没有执行任何操作，因为没有它也没有 %s，就没人知道 %q 是什么",
	"%w: nothing was done; without --server this acts on Rancher alone":               "%w：没有执行任何操作；不带 --server 时只作用于 Rancher",
	"no daemon is running on state directory %s":                                      "状态目录 %s 上没有守护进程在运行",
	"no daemon is running at %s":                                                      "%s 上没有守护进程在运行",
	"no daemon is running; this is what its journal says":                             "没有守护进程在运行；以下内容来自它的日志（journal）",
	"no target %q; a service that nobody targets is named stack/service":              "没有目标 %q；未列为目标的服务用 stack/service 表示",
	"%s and %d more": "%s 以及另外 %d 个",
	"no target %q; there are %s and %d more, and any stack/service":               "没有目标 %q；现有 %s 以及另外 %d 个，也可以用任意 stack/service",
	"no target %q; there are %s, and any stack/service":                           "没有目标 %q；现有 %s，也可以用任意 stack/service",
	"there is no %s and %s is not set: name a file with -c, or set %s, %s and %s": "没有 %s，也没有设置 %s：请用 -c 指定文件，或者设置 %s、%s 和 %s",
	"rancher at %s does not take the key: %s; an environment API key is needed":   "%s 上的 Rancher 不接受这个 key：%s；需要环境 API key",
	"not confirmed, nothing done":                                                 "没有确认，没有执行任何操作",
	"go on? [y/N] ":                                                               "继续吗？[y/N] ",
	"%s: %s after %s":                                                             "%s：%s，用时 %s",
	"%s: %s told to %s, by %s":                                                    "%s：%s 已告知 %s，操作人 %s",

	// why.
	"no journal in %s: `drover run` writes one; --state-dir names another place": "%s 中没有日志（journal）：`drover run` 会写入；--state-dir 可指定其它位置",
	"nothing is known of a target %q":                                            "对目标 %q 一无所知",
	"no rollout and no digest of %s begins with %q in the journal; a digest that was never started is explained by `drover why %s` while the tag names it": "日志（journal）中 %s 没有以 %q 开头的发布或 digest；从未开始过的 digest，在标签指向它时由 `drover why %s` 解释",
	"%s: %s since %s (%s)%s":                        "%s：%s，自 %s 起（%s）%s",
	", a person should look":                        "，需要人来看一下",
	"  because  %s":                                 "  原因     %s",
	"  but      this could not be carried out: %s":  "  但是     没有做成：%s",
	"%srule     %s: %s":                             "%s规则     %s：%s",
	"%sto do    %s":                                 "%s办法     %s",
	"  it runs  %s%s":                               "  现运行   %s%s",
	", brought by rollout %s (%s)":                  "，由发布 %s 带来（%s）",
	", as it was found %s":                          "，与 %s 发现它时一样",
	"rule %s: %s":                                   "规则 %s：%s",
	"rollout %s (%s): %s to %s, %s":                 "发布 %s（%s）：%s 到 %s，%s",
	"  commit   %s":                                 "  提交     %s",
	"  evidence %s: drover replay shows every look": "  证据     %s：drover replay 显示每一次查看",
	" by %s":                       "，操作人 %s",
	"new: %d requests, %d failed":  "新版本：%d 个请求，%d 个失败",
	"old: %d, %d":                  "旧版本：%d，%d",
	"probes: %d":                   "探测：%d",
	"needed: %d":                   "需要：%d",
	"E = %.3g (rolls back at 100)": "E = %.3g（到 100 回滚）",
	"sum = %.3g (fires at 4.61)":   "sum = %.3g（到 4.61 触发）",
	"either only with failures in 3 intervals of 20 requests":                       "两者都要求失败分布在 3 段、每段 20 个请求中",
	"at most %.2g%% failed, with 95%% confidence; the limit is %.2g%%":              "在 95%% 置信度下失败率至多 %.2g%%；上限 %.2g%%",
	"it is quarantined since %s (rollout %s): %s":                                   "它自 %s 起被隔离（发布 %s）：%s",
	"a newer digest goes past it; `drover retry %s --digest %s` tries it once more": "更新的 digest 不受影响；`drover retry %s --digest %s` 再试一次",
	"it is what the service runs":                                                   "它正是服务现在运行的版本",
	"the tag named it when the service was adopted running something else, so it is passed over; `drover retry %s --digest %s` deploys it": "接管服务时标签已指向它，而服务运行的是别的版本，所以跳过；`drover retry %s --digest %s` 部署它",
	"it ran before; a tag that moves back to it is asked about: `drover retry %s --digest %s` deploys it":                                  "它以前运行过；标签退回到它时会先询问：`drover retry %s --digest %s` 部署它",
	"%s let it be tried again": "%s 允许再试一次",

	// The screen of watch.
	"looking…":                          "正在查看…",
	"commit %s":                         "提交 %s",
	"no daemon":                         "没有守护进程",
	"runs %s":                           "运行 %s",
	"runs %s, the tag names %s":         "运行 %s，标签指向 %s",
	"BACK":                              "已退回",
	"FINISHED":                          "已完成",
	"ROLLED BACK":                       "已回滚",
	"NOT APPLIED":                       "未生效",
	"TAKEN OVER":                        "被他人接管",
	": a fresh upgrade went back to %s": "：以一次全新的升级退回到 %s",
	" after %s":                         "，用时 %s",
	"  since %s":                        "  已进行 %s",
	"  (waiting for an upgrade)":        "  （等待升级）",
	"  (waiting for a push of %s)":      "  （等待推送 %s）",
	"  (`drover upgrade` brings it, or a pipeline does)": "  （由 `drover upgrade` 或流水线带来）",
	"the daemon does not answer: %s":                     "守护进程没有应答：%s",
	"load balancer: %s":                                  "负载均衡：%s",
	"container":                                          "容器",
	"version":                                            "版本",
	"state":                                              "状态",
	"balancer":                                           "负载均衡",
	"req/s":                                              "请求/秒",
	"failed":                                             "失败",
	"retries":                                            "重试",
	"latency":                                            "延迟",
	"trend":                                              "趋势",
	"… and %d more containers":                           "… 以及另外 %d 个容器",
	"gate":                                               "门禁",
	"verdict":                                            "判定",
	"figures":                                            "依据",
	"── log: %s lines":                                   "── 日志：%s 行",
	"%s not read in time":                                "%s 行未及时读取",
	"%s lines were not read in time":                     "%s 行未及时读取",
	" (%s shown)":                                        "（显示 %s 行）",
	"stopped, %s newer below":                            "已停住，下方有 %s 行更新",
	"errors":                                             "错误",
	"only %s":                                            "只看 %s",
	"no log: %s":                                         "没有日志：%s",
	"no line is shown; esc shows all again":              "没有匹配的行；按 esc 显示全部",
	"no line yet":                                        "还没有日志",
	"copy: ↑↓ move  space mark  y copy  esc back":            "复制：↑↓ 移动  space 标记  y 复制  esc 返回",
	"there is no line to copy":                               "没有可复制的行",
	"%d lines copied, where the terminal allows it (OSC 52)": "已复制 %d 行（需要终端支持 OSC 52）",
	"nothing was done":                                       "没有执行任何操作",
	"nothing was seen yet":                                   "还什么都没看到",
	"wait: %s":                                               "请稍候：%s",
	"looking for the way back":                               "正在寻找退路",
	"telling %s":                                             "正在告知 %s",
	"the daemon":                                             "守护进程",
	"%s told to %s, by %s":                                   "%s 已告知 %s，操作人 %s",
	"the answer was lost; look at what comes of it: %s":      "没有收到应答，请看接下来的结果：%s",
	"%s %s?":                                 "确认 %s %s？",
	" yes   ":                                " 是   ",
	" no":                                    " 否",
	"  enter keeps the filter, esc drops it": "  enter 保留过滤，esc 取消",
	"finish":                                 "完成",
	"roll back":                              "回滚",
	"hold":                                   "搁置",
	"resume":                                 "恢复",
	"leave":                                  "离开",
	"keys":                                   "按键",
	"filter":                                 "过滤",
	"new":                                    "新",
	"old":                                    "旧",
	"follow":                                 "跟随",
	"stop":                                   "停住",
	"copy":                                   "复制",
	"drover watch: keys":                     "drover watch：按键",
	`

  f        finish the upgrade under way: without bake and gates, every container proved
  r        roll back what is under way, or the last finished one
  h        hold: nothing starts and nothing is finished, until it is resumed
  u        resume
  a        approve, where finish is manual
           each says what will happen, and asks

  space    stop the log, and follow it again
  ↑ ↓ pgup pgdn home end    scroll
  /        only lines with a text
  n o      only the new version's lines, only the old one's
  e        only lines that look like errors
  tab      only one container's lines, the next one, all
  esc      all lines again
  c        copy: the log alone, with the terminal's own selection or
           space to mark, y to copy, esc to go back

  q ctrl-c leave; the rollout goes on

any key goes back`: `

  f        完成进行中的升级：不再等待观察期和门禁，但每个容器都要核实
  r        回滚进行中的升级，或者上一次已完成的升级
  h        搁置：在恢复之前，不再开始也不再完成任何发布
  u        恢复
  a        批准（finish 为 manual 时）
           每个操作都先说明会发生什么，再询问

  space    停住日志，再按一次继续跟随
  ↑ ↓ pgup pgdn home end    滚动
  /        只看包含某段文字的行
  n o      只看新版本的行，只看旧版本的行
  e        只看像错误的行
  tab      只看一个容器的行，下一个，全部
  esc      重新显示全部
  c        复制：只显示日志，可以用终端自己的选择功能，
           或者 space 标记，y 复制，esc 返回

  q ctrl-c 离开；发布继续进行

按任意键返回`,
}
