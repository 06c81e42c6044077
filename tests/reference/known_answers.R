# The numbers of R in the tests of losses, metrics, baselines and fusion.survival.
# Rscript known_answers.R; made with R survival 3.5-3.
library(survival)
options(digits = 15)
lung_cc <- na.omit(lung[, c("time", "status", "age", "sex", "ph.ecog")])
lung_cc$lp <- .02 * lung_cc$age - .5 * lung_cc$sex + .5 * lung_cc$ph.ecog
at <- function(formula, data, ties) coxph(formula, data, ties = ties, init = 1, iter.max = 0)$loglik[1]
show <- function(name, value) cat(name, format(value, digits = 15), "\n")

for (ties in c("efron", "breslow")) {
  show(paste("lung_cc at lp", ties), at(Surv(time, status) ~ lp, lung_cc, ties))
  show(paste("lung_cc at lp, strata sex", ties), at(Surv(time, status) ~ lp + strata(sex), lung_cc, ties))
  show(paste("lung_cc at lp, weights age / 60", ties), coxph(Surv(time, status) ~ lp, lung_cc,
    ties = ties, weights = age / 60, init = 1, iter.max = 0)$loglik[1])
  fit <- coxph(Surv(time, status) ~ age + sex, lung, ties = ties)
  show(paste("lung age + sex", ties), c(fit$loglik[2], coef(fit)))
  fit <- coxph(Surv(time, status) ~ karno + age + trt, veteran, ties = ties)
  show(paste("veteran karno + age + trt", ties), c(fit$loglik[2], coef(fit)))
}
show("ovarian age + rx", coxph(Surv(futime, fustat) ~ age + rx, ovarian)$loglik[2])
heart_fit <- coxph(Surv(start, stop, event) ~ age + surgery + transplant, heart)
show("heart age + surgery + transplant", c(heart_fit$loglik[2], coef(heart_fit)))
heart_fit <- coxph(Surv(start, stop, event) ~ (age + surgery) * transplant, heart)
show("heart (age + surgery) * transplant", c(heart_fit$loglik[2], coef(heart_fit)))
weighted <- coxph(Surv(time, status) ~ age + sex, lung_cc, weights = age / 60)
show("lung_cc age + sex, weights age / 60, efron", c(weighted$loglik[2], coef(weighted)))
ridge <- coxph(Surv(time, status) ~ ridge(age, sex, ph.ecog, theta = 50, scale = FALSE), lung_cc)
show("lung_cc ridge theta 50", coef(ridge))
km <- survfit(Surv(time, status) ~ 1, lung)
show("lung median", summary(km)$table["median"])
show("lung KM(365), log-log limits", unlist(summary(survfit(Surv(time, status) ~ 1, lung, conf.type = "log-log"),
  times = 365)[c("surv", "lower", "upper")]))
pcm <- mgus2
pcm$etime <- with(pcm, ifelse(pstat == 0, futime, ptime))
pcm$cause <- with(pcm, factor(ifelse(pstat == 0, 2 * death, 1), 0:2, c("censor", "pcm", "death")))
show("mgus2 pcm", summary(survfit(Surv(etime, cause) ~ 1, pcm), times = c(60, 120, 240))$pstate[, 2])

# tests/metrics: time lost, the score test of the visit process, net benefit, recalibration by binomial regression.
rmean <- function(data, tau) summary(survfit(Surv(time, status) ~ 1, data), rmean = tau)$table["rmean"]
show("lung RMST(365) women - men", rmean(lung[lung$sex == 2, ], 365) - rmean(lung[lung$sex == 1, ], 365))
show("veteran RMST(100) test - standard", rmean(veteran[veteran$trt == 2, ], 100) - rmean(veteran[veteran$trt == 1, ], 100))
show("ovarian score test of age", coxph(Surv(futime, fustat) ~ age, ovarian)$score)
show("lung log-rank of sex", survdiff(Surv(time, status) ~ sex, lung)$chisq)
show("lung KM(365)", summary(survfit(Surv(time, status) ~ 1, lung), times = 365)$surv)
whole <- veteran[veteran$status == 1, ]
whole$dead <- as.numeric(whole$time <= 100)
whole$chance <- plogis(1.5 - 0.03 * whole$karno)
cll <- function(p) log(-log(1 - p))
for (link in c("cloglog", "logit")) {
  f <- if (link == "cloglog") cll else qlogis
  family <- binomial(link)
  show(paste("veteran slope", link), coef(glm(dead ~ f(chance), family, whole, control = glm.control(1e-14)))[2])
  show(paste("veteran intercept", link), coef(glm(dead ~ offset(f(chance)), family, whole, control = glm.control(1e-14)))[1])
}
